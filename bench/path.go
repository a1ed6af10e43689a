package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"time"

	"github.com/podlane/podlane/lab"
)

// way is the path from a place to another's address, with its figures.
type way struct {
	from, to                   *lab.Place
	addr                       netip.Addr
	cores                      cores
	tcp, cpu                   series // bits per second; CPU seconds of the whole machine for a GB
	small                      series // datagrams received per second
	tcpTurns, udpTurns         series // requests answered per second
	tcp50, tcp99, udp50, udp99 series // seconds for a round trip
}

// path measures two pods on two nodes. It compares them with two other pods, whose nodes have the same overlay and
// nothing else of podlane, and with these nodes themselves.
func path(ctx context.Context, b bench) (s Section, err error) {
	times, lasting := 6, 3*time.Second
	if b.quick {
		times, lasting = 1, 2*time.Second
	}
	l, err := lab.New(ctx, lab.Options{Nodes: 4, Bin: b.bin})
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if err := errors.Join(l.StartAll(ctx), l.AddPods(ctx, 1)); err != nil {
		return s, err
	}
	p := l.Pods()
	on, err := choose(func(pin []string) error {
		_, err := p[0].Run(ctx, pin[0], append(pin[1:], "true")...)
		return err
	})
	if err != nil {
		return s, err
	}
	pods := &way{from: p[0].Place, to: p[1].Place, addr: p[1].Addrs[0], cores: on}
	nodes := &way{from: l.Nodes[2].Place, to: l.Nodes[3].Place, addr: l.Nodes[3].Addr, cores: on}
	plain := &way{from: p[2].Place, to: p[3].Place, addr: p[3].Addrs[0], cores: on}
	for _, n := range l.Nodes[2:] {
		if err := leaveOverlay(ctx, n); err != nil {
			return s, err
		}
	}
	err = rounds(times,
		func() error { return pods.measure(ctx, lasting) },
		func() error { return nodes.measure(ctx, lasting) },
		func() error { return plain.measure(ctx, lasting) },
	)
	return pathSection(times, lasting, on.text, pods, nodes, plain), err
}

// leaveOverlay leaves a node only its bridge, its VXLAN device and the entries for its peers. It ends podlaned and
// removes its firewall.
func leaveOverlay(ctx context.Context, n *lab.Node) error {
	if err := n.Kill(); err != nil {
		return err
	}
	_, err := n.Run(ctx, "nft", "delete table inet podlane")
	return err
}

func (w *way) measure(ctx context.Context, lasting time.Duration) error {
	if err := w.throughput(ctx, lasting); err != nil {
		return err
	}
	if err := w.datagrams(ctx, lasting); err != nil {
		return err
	}
	if err := w.turns(ctx, lasting, &w.tcpTurns, &w.tcp50, &w.tcp99, "--tcp"); err != nil {
		return err
	}
	return w.turns(ctx, lasting, &w.udpTurns, &w.udp50, &w.udp99)
}

// iperf holds the used part of iperf3's report.
type iperf struct {
	End struct {
		Received struct {
			Bytes float64
			Rate  float64 `json:"bits_per_second"`
		} `json:"sum_received"`
		Sum struct {
			Seconds, Packets float64
			Lost             float64 `json:"lost_packets"`
		}
	}
}

func (w *way) iperf(ctx context.Context, lasting time.Duration, args ...string) (r iperf, cpu time.Duration, err error) {
	out, cpu, err := w.ask(ctx, []string{"iperf3", "-s", "-1", "-p", "5201"}, "5201",
		append([]string{"iperf3", "-J", "-p", "5201", "-c", w.addr.String(), "-t", strconv.Itoa(int(lasting.Seconds()))}, args...))
	if err != nil {
		return r, 0, err
	}
	return r, cpu, json.Unmarshal([]byte(out), &r)
}

func (w *way) throughput(ctx context.Context, lasting time.Duration) error {
	r, cpu, err := w.iperf(ctx, lasting)
	if err != nil {
		return err
	}
	if r.End.Received.Bytes == 0 {
		return errors.New("iperf3 received nothing")
	}
	w.tcp.add(r.End.Received.Rate)
	w.cpu.add(cpu.Seconds() / (r.End.Received.Bytes / 1e9))
	return nil
}

func (w *way) datagrams(ctx context.Context, lasting time.Duration) error {
	r, _, err := w.iperf(ctx, lasting, "-u", "-b", "0", "-l", "64")
	if err != nil {
		return err
	}
	if r.End.Sum.Seconds == 0 || r.End.Sum.Packets <= r.End.Sum.Lost {
		return fmt.Errorf("iperf3 received none of %.0f datagrams", r.End.Sum.Packets)
	}
	w.small.add((r.End.Sum.Packets - r.End.Sum.Lost) / r.End.Sum.Seconds)
	return nil
}

var (
	turnRate = regexp.MustCompile(`ReceivedMessages=(\d+)`)
	turnTime = regexp.MustCompile(`RunTime=([\d.]+) sec`)
	turn50   = regexp.MustCompile(`percentile 50\.000 = +([\d.]+)`)
	turn99   = regexp.MustCompile(`percentile 99\.000 = +([\d.]+)`)
)

// turns sends requests of 64 bytes, each after the answer to the previous one.
func (w *way) turns(ctx context.Context, lasting time.Duration, rate, p50, p99 *series, args ...string) error {
	out, _, err := w.ask(ctx, append([]string{"sockperf", "server", "-i", w.addr.String(), "-p", "5202"}, args...), "5202",
		append([]string{"sockperf", "ping-pong", "--full-rtt", "-i", w.addr.String(), "-p", "5202", "-m", "64", "-t", strconv.Itoa(int(lasting.Seconds()))}, args...))
	if err != nil {
		return err
	}
	number := func(what *regexp.Regexp) float64 {
		found := what.FindStringSubmatch(out)
		if found == nil {
			err = fmt.Errorf("sockperf prints no %s: %s", what, out)
			return 0
		}
		v, parseErr := strconv.ParseFloat(found[1], 64)
		err = errors.Join(err, parseErr)
		return v
	}
	n, lasted, half, most := number(turnRate), number(turnTime), number(turn50), number(turn99)
	if err == nil && (n == 0 || lasted == 0) {
		err = fmt.Errorf("sockperf got no answer: %s", out)
	}
	if err != nil {
		return err
	}
	rate.add(n / lasted)
	p50.add(half / 1e6)
	p99.add(most / 1e6)
	return nil
}

func pathSection(times int, lasting time.Duration, cores string, pods, nodes, plain *way) Section {
	s := Section{
		Title: "From pod to pod beside from node to node",
		Text: fmt.Sprintf("%d rounds in turn of %v each; %s. Each figure is compared with that of two other nodes themselves, over the "+
			"underlay, and with that of pods on these nodes. Those pods have the same bridge, VXLAN device, routes, "+
			"neighbours and FDB entries, but no podlaned and no firewall of podlane: the kernel's cost of an overlay alone. "+
			"The underlay is a bridge of this machine and costs nearly nothing, so on a real network the difference to the "+
			"nodes is smaller. TCP and datagrams are from iperf3, requests from sockperf. CPU is the whole machine's, from "+
			"the client's start to its end.", times, lasting, cores),
	}
	gbit := func(v float64) string { return fmt.Sprintf("%.2f Gbit/s", v/1e9) }
	perSecond := func(v float64) string { return thousands(int(v)) + "/s" }
	for _, m := range []struct {
		what   string
		of     func(*way) series
		format func(float64) string
	}{
		{"TCP throughput", func(w *way) series { return w.tcp }, gbit},
		{"CPU for a GB of it", func(w *way) series { return w.cpu }, seconds},
		{"datagrams of 64 bytes received", func(w *way) series { return w.small }, perSecond},
		{"TCP requests and answers", func(w *way) series { return w.tcpTurns }, perSecond},
		{"TCP round trip, p50", func(w *way) series { return w.tcp50 }, seconds},
		{"TCP round trip, p99", func(w *way) series { return w.tcp99 }, seconds},
		{"UDP requests and answers", func(w *way) series { return w.udpTurns }, perSecond},
		{"UDP round trip, p50", func(w *way) series { return w.udp50 }, seconds},
		{"UDP round trip, p99", func(w *way) series { return w.udp99 }, seconds},
	} {
		own := m.of(pods)
		for _, beside := range []struct {
			name string
			way  *way
		}{{"node to node", nodes}, {"the overlay alone", plain}} {
			other := m.of(beside.way)
			s.Rows = append(s.Rows, Row{What: m.what, Figure: own.text(m.format), Against: beside.name + " " + other.text(m.format), Ratio: ratio(own, other)})
		}
	}
	return s
}
