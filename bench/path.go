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

// way is from a place to another's address, and what was measured on it.
type way struct {
	from, to                   *lab.Place
	addr                       netip.Addr
	cores                      cores
	tcp, cpu                   series // bits per second; CPU seconds of the whole machine for a GB
	small                      series // datagrams received per second
	tcpTurns, udpTurns         series // requests answered per second
	tcp50, tcp99, udp50, udp99 series // seconds a round trip
}

// path measures two pods on two nodes beside the nodes themselves.
func path(ctx context.Context, b bench) (s Section, err error) {
	times, lasting := 6, 4*time.Second
	if b.quick {
		times, lasting = 1, 2*time.Second
	}
	l, err := lab.New(ctx, lab.Options{Nodes: 2, Bin: b.bin})
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
	nodes := &way{from: l.Nodes[0].Place, to: l.Nodes[1].Place, addr: l.Nodes[1].Addr, cores: on}
	err = rounds(times,
		func() error { return pods.measure(ctx, lasting) },
		func() error { return nodes.measure(ctx, lasting) },
	)
	return pathSection(times, lasting, on.text, pods, nodes), err
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

// iperf is what of iperf3's report is used.
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

// turns sends requests of 64 bytes, each after the answer to the one before.
func (w *way) turns(ctx context.Context, lasting time.Duration, rate, p50, p99 *series, args ...string) error {
	out, _, err := w.ask(ctx, append([]string{"sockperf", "server", "-i", w.addr.String(), "-p", "5202"}, args...), "5202",
		append([]string{"sockperf", "ping-pong", "--full-rtt", "-i", w.addr.String(), "-p", "5202", "-m", "64", "-t", strconv.Itoa(int(lasting.Seconds()))}, args...))
	if err != nil {
		return err
	}
	number := func(what *regexp.Regexp) float64 {
		found := what.FindStringSubmatch(out)
		if found == nil {
			err = fmt.Errorf("sockperf says no %s: %s", what, out)
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

func pathSection(times int, lasting time.Duration, cores string, pods, nodes *way) Section {
	gbit := func(v float64) string { return fmt.Sprintf("%.2f Gbit/s", v/1e9) }
	perSecond := func(v float64) string { return thousands(int(v)) + "/s" }
	row := func(what string, a, b series, format func(float64) string) Row {
		return Row{What: what, Figure: a.text(format), Against: "node to node " + b.text(format), Ratio: ratio(a, b)}
	}
	return Section{
		Title: "From pod to pod beside from node to node",
		Text: fmt.Sprintf("%d rounds in turn of %v each; %s. The underlay is a bridge of this machine, whose packets cost nearly nothing: on a real one the difference is smaller. "+
			"TCP and datagrams by iperf3, requests by sockperf; CPU is the whole machine's, from the client's start to its end.", times, lasting, cores),
		Rows: []Row{
			row("TCP throughput", pods.tcp, nodes.tcp, gbit),
			row("CPU for a GB of it", pods.cpu, nodes.cpu, seconds),
			row("datagrams of 64 bytes received", pods.small, nodes.small, perSecond),
			row("TCP requests and answers", pods.tcpTurns, nodes.tcpTurns, perSecond),
			row("TCP round trip, p50", pods.tcp50, nodes.tcp50, seconds),
			row("TCP round trip, p99", pods.tcp99, nodes.tcp99, seconds),
			row("UDP requests and answers", pods.udpTurns, nodes.udpTurns, perSecond),
			row("UDP round trip, p50", pods.udp50, nodes.udp50, seconds),
			row("UDP round trip, p99", pods.udp99, nodes.udp99, seconds),
		},
	}
}
