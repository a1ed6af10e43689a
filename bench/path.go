package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/podlane/podlane/lab"
)

// way is from a place to another's address, and what was measured on it.
type way struct {
	from, to                   *lab.Place
	addr                       netip.Addr
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
	pods := &way{from: p[0].Place, to: p[1].Place, addr: p[1].Addrs[0]}
	nodes := &way{from: l.Nodes[0].Place, to: l.Nodes[1].Place, addr: l.Nodes[1].Addr}
	err = rounds(times,
		func() error { return pods.measure(ctx, lasting) },
		func() error { return nodes.measure(ctx, lasting) },
	)
	return pathSection(times, lasting, pods, nodes), err
}

func (w *way) measure(ctx context.Context, lasting time.Duration) error {
	return errors.Join(
		w.throughput(ctx, lasting),
		w.datagrams(ctx, lasting),
		w.turns(ctx, lasting, &w.tcpTurns, &w.tcp50, &w.tcp99, "--tcp"),
		w.turns(ctx, lasting, &w.udpTurns, &w.udp50, &w.udp99),
	)
}

// serve runs a server on the second core while something is done on the first.
func (w *way) serve(ctx context.Context, server []string, ready string, client ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := w.to.Command(ctx, "taskset", append([]string{"-c", "1"}, server...)...)
	if err := w.to.StartCommand(cmd); err != nil {
		return "", err
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }() // it may have ended by itself
	for {
		out, err := w.to.Run(ctx, "ss", "-Hltun", "sport", "= :"+ready)
		if err != nil {
			return "", err
		}
		if strings.TrimSpace(out) != "" {
			break
		}
	}
	return w.from.Run(ctx, "taskset", append([]string{"-c", "0"}, client...)...)
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

func (w *way) iperf(ctx context.Context, lasting time.Duration, args ...string) (r iperf, err error) {
	out, err := w.serve(ctx, []string{"iperf3", "-s", "-1", "-p", "5201"}, "5201",
		append([]string{"iperf3", "-J", "-p", "5201", "-c", w.addr.String(), "-t", strconv.Itoa(int(lasting.Seconds()))}, args...)...)
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal([]byte(out), &r)
}

func (w *way) throughput(ctx context.Context, lasting time.Duration) error {
	before, err := busy()
	if err != nil {
		return err
	}
	r, err := w.iperf(ctx, lasting)
	if err != nil {
		return err
	}
	after, err := busy()
	w.tcp.add(r.End.Received.Rate)
	w.cpu.add((after - before).Seconds() / (r.End.Received.Bytes / 1e9))
	return err
}

func (w *way) datagrams(ctx context.Context, lasting time.Duration) error {
	r, err := w.iperf(ctx, lasting, "-u", "-b", "0", "-l", "64")
	if err == nil && r.End.Sum.Seconds > 0 {
		w.small.add((r.End.Sum.Packets - r.End.Sum.Lost) / r.End.Sum.Seconds)
	}
	return err
}

var (
	turnRate = regexp.MustCompile(`ReceivedMessages=(\d+)`)
	turnTime = regexp.MustCompile(`RunTime=([\d.]+) sec`)
	turn50   = regexp.MustCompile(`percentile 50\.000 = +([\d.]+)`)
	turn99   = regexp.MustCompile(`percentile 99\.000 = +([\d.]+)`)
)

// turns sends requests of 64 bytes, each after the answer to the one before.
func (w *way) turns(ctx context.Context, lasting time.Duration, rate, p50, p99 *series, args ...string) error {
	out, err := w.serve(ctx, append([]string{"sockperf", "server", "-i", w.addr.String(), "-p", "5202"}, args...), "5202",
		append([]string{"sockperf", "ping-pong", "--full-rtt", "-i", w.addr.String(), "-p", "5202", "-m", "64", "-t", strconv.Itoa(int(lasting.Seconds()))}, args...)...)
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
	rate.add(number(turnRate) / number(turnTime))
	p50.add(number(turn50) / 1e6)
	p99.add(number(turn99) / 1e6)
	return err
}

// busy is how long the machine's cores have been at work, by /proc/stat.
func busy() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(strings.SplitN(string(text), "\n", 2)[0])
	ticks := int64(0)
	for i, f := range fields[1:] {
		v, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		if i != 3 && i != 4 && i < 8 { // idle, iowait; guests are in user
			ticks += v
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil // USER_HZ is 100 everywhere
}

func pathSection(times int, lasting time.Duration, pods, nodes *way) Section {
	gbit := func(v float64) string { return fmt.Sprintf("%.2f Gbit/s", v/1e9) }
	perSecond := func(v float64) string { return thousands(int(v)) + "/s" }
	row := func(what string, a, b series, format func(float64) string) Row {
		return Row{What: what, Figure: a.text(format), Against: "node to node " + b.text(format), Ratio: ratio(a, b)}
	}
	return Section{
		Title: "From pod to pod beside from node to node",
		Text: fmt.Sprintf("%d rounds in turn of %v each; the client on one core, the server on the other. The underlay is a bridge of this machine, whose packets cost nearly nothing: on a real one the difference is smaller. "+
			"TCP by iperf3, requests by sockperf; CPU is the whole machine's.", times, lasting),
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
