package main

import (
	"fmt"
	"strings"
)

// compared are the names of all paths, in the order of the report. The last one is optional.
var compared = []string{nodesOnly, overlayOnly, flannelsRules, ours, besideBuild}

// figure is one thing that is measured of each path.
type figure struct {
	what   string
	of     func(*speeds) series
	format func(float64) string
	most   float64 // the upper limit of the ratio to flannel's rules; 0: none
	least  float64 // the lower limit of the ratio to flannel's rules; 0: none
	beside float64 // the lower limit of the ratio to the other build; 0: none
}

// figures returns what is measured in an arrangement.
func figures(a arrangement) []figure {
	gbit := func(v float64) string { return fmt.Sprintf("%.2f Gbit/s", v/1e9) }
	perSecond := func(v float64) string { return thousands(int(v)) + "/s" }
	tcp := figure{what: "TCP throughput", of: func(w *speeds) series { return w.tcp }, format: gbit}
	small := figure{what: "datagrams of 64 bytes", of: func(w *speeds) series { return w.small }, format: perSecond}
	if !a.alone {
		tcp.least, tcp.beside, small.beside = 0.88, 1.1, 1.15
	}
	return []figure{
		tcp,
		{what: "CPU for a GB of it", of: func(w *speeds) series { return w.cpu }, format: seconds},
		small,
		{what: "TCP requests and answers", of: func(w *speeds) series { return w.tcpTurns }, format: perSecond},
		{what: "TCP round trip, p50", of: func(w *speeds) series { return w.tcp50 }, format: micros, most: 1.02},
		{what: "TCP round trip, p99", of: func(w *speeds) series { return w.tcp99 }, format: micros},
		{what: "UDP requests and answers", of: func(w *speeds) series { return w.udpTurns }, format: perSecond},
		{what: "UDP round trip, p50", of: func(w *speeds) series { return w.udp50 }, format: micros, most: 1.02},
		{what: "UDP round trip, p99", of: func(w *speeds) series { return w.udp99 }, format: micros},
	}
}

// micros formats a time of some microseconds.
func micros(v float64) string { return fmt.Sprintf("%.1f µs", v*1e6) }

func pathSection(d durations, on string, all []arrangement) Section {
	s := Section{
		Title: "From pod to pod beside from node to node",
		Text: fmt.Sprintf("Pairs of nodes of one lab, with a pod on each node. All have the same bridge, VXLAN device, routes, "+
			"neighbours, FDB entries and br_netfilter. They differ in their rules. podlane: its own. flannel's rules: those that flannel "+
			"writes with iptables-nft (masquerade, and accepts in FORWARD), and a tunnel that conntrack tracks. The overlay alone: no "+
			"rules, so no conntrack. Node to node: the nodes of that last pair themselves, over the underlay. The "+
			"underlay is a bridge of this machine and costs nearly nothing. So on a real network the difference to the nodes is "+
			"smaller. Tables, entries, devices, rule counters and tracked connections of each pair are checked before and "+
			"after.\n\n"+
			"%d labs one after the other, each with other nodes for each pair, and %d rounds in each. A round measures one thing on all "+
			"pairs, one after the other in a random order, then the next thing. TCP throughput is from iperf3, %v each. Requests of 64 "+
			"bytes are sent each after the previous answer, for %v, %d times a round. CPU is the whole machine's, from the client's "+
			"start to its end. Two cores: %s. Their datagrams are a flood from iperf3, as received. One core: both on the server's. "+
			"That is the cost of the path without wake-ups between cores. A flood would there show only which process the scheduler "+
			"prefers. So datagrams are sent in bursts of %d, each after an answer to the previous one. Of all requests and bursts, %d messages were lost.",
			d.labs, d.rounds, d.long, d.short, d.repeated, on, burst, lost(all)),
		Bars: []Bars{pathBars(all)},
	}
	for _, a := range all {
		s.Rows = append(s.Rows, a.rows()...)
		s.Tables = append(s.Tables, a.table())
	}
	return s
}

// lost returns the number of lost messages of all paths.
func lost(all []arrangement) (sum int) {
	for _, a := range all {
		for _, s := range a.speeds {
			sum += s.lost
		}
	}
	return sum
}

// rows returns podlane's figures beside those with flannel's rules, and beside those of the other build.
func (a arrangement) rows() (rows []Row) {
	for _, f := range figures(a) {
		own := f.of(a.speeds[ours])
		row := func(other string) Row {
			o := f.of(a.speeds[other])
			return Row{What: a.name + ": " + f.what, Figure: own.text(f.format), Against: other + " " + o.text(f.format), Ratio: ratio(own, o)}
		}
		r := row(flannelsRules)
		if f.most > 0 {
			r = within(r, r.Ratio, f.most, fmt.Sprintf("at most %g", f.most))
		}
		if f.least > 0 {
			r = atLeast(r, r.Ratio, f.least)
		}
		rows = append(rows, r)
		if a.speeds[besideBuild] != nil {
			r := row(besideBuild)
			if f.beside > 0 {
				r = atLeast(r, r.Ratio, f.beside)
			}
			rows = append(rows, r)
		}
	}
	return rows
}

// table returns the medians of all paths.
func (a arrangement) table() Table {
	t := Table{Title: strings.ToUpper(a.name[:1]) + a.name[1:] + ". Medians, and in bold the ratio of podlane's figure to this one:", Head: []string{""}}
	names := a.names()
	t.Head = append(t.Head, names...)
	for _, f := range figures(a) {
		line := []string{f.what}
		for _, name := range names {
			s := f.of(a.speeds[name])
			cell := f.format(s.median())
			if name != ours {
				cell += fmt.Sprintf(" **%.2f**", ratio(f.of(a.speeds[ours]), s))
			}
			line = append(line, cell)
		}
		t.Lines = append(t.Lines, line)
	}
	return t
}

// names returns the names of the measured paths in the order of the report.
func (a arrangement) names() (names []string) {
	for _, name := range compared {
		if a.speeds[name] != nil {
			names = append(names, name)
		}
	}
	return names
}

// pathBars returns the round trips of all paths.
func pathBars(all []arrangement) Bars {
	b := Bars{Name: "path", Title: "Round trip of 64 bytes, p50", Y: "µs"}
	if len(all) == 0 {
		return b
	}
	b.Bars = all[0].names()
	for _, a := range all {
		for _, m := range []struct {
			name string
			of   func(*speeds) series
		}{{"TCP", func(w *speeds) series { return w.tcp50 }}, {"UDP", func(w *speeds) series { return w.udp50 }}} {
			g := Group{Name: m.name + ", " + a.name}
			for _, name := range b.Bars {
				g.Values = append(g.Values, m.of(a.speeds[name]).median()*1e6)
			}
			b.Groups = append(b.Groups, g)
		}
	}
	return b
}
