package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/podlane/podlane/lab"
)

// way is the path from a place to the address of another place.
type way struct {
	from, to *lab.Place
	addr     netip.Addr
	cores    cores
	*speeds
}

// speeds holds the figures of the ways with one name, such as podlane, in one arrangement.
type speeds struct {
	tcp, cpu                   series // bits per second; CPU seconds of the whole machine for a GB
	small                      series // datagrams received per second
	tcpTurns, udpTurns         series // requests answered per second
	tcp50, tcp99, udp50, udp99 series // seconds for a round trip
	lost                       int    // messages that the answering server did not receive
}

// burst is the number of datagrams for each answer, when small datagrams are measured on one core. A socket's receive
// buffer holds many more.
const burst = 32

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

// flood sends as many datagrams as it can, and records how many the receiver gets per second.
func (w *way) flood(ctx context.Context, lasting time.Duration) error {
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

// bursts sends each burst after the answer to the previous one. So client and server get fair shares of one core.
func (w *way) bursts(ctx context.Context, lasting time.Duration) error {
	t, err := w.turns(ctx, lasting, "udp", burst)
	if err == nil {
		w.small.add(float64(t.Received) / t.Seconds)
		w.lost += t.lost()
	}
	return err
}

func (w *way) tcpRequests(ctx context.Context, lasting time.Duration) error {
	return w.requests(ctx, lasting, "tcp", &w.tcpTurns, &w.tcp50, &w.tcp99)
}

func (w *way) udpRequests(ctx context.Context, lasting time.Duration) error {
	return w.requests(ctx, lasting, "udp", &w.udpTurns, &w.udp50, &w.udp99)
}

// requests sends requests of 64 bytes, each after the answer to the previous one.
func (w *way) requests(ctx context.Context, lasting time.Duration, network string, rate, p50, p99 *series) error {
	t, err := w.turns(ctx, lasting, network, 1)
	if err != nil {
		return err
	}
	rate.add(float64(t.Turns) / t.Seconds)
	p50.add(t.P50)
	p99.add(t.P99)
	w.lost += t.lost()
	return nil
}

// turns holds the figures that the program turns prints.
type turns struct {
	Seconds, P50, P99     float64
	Sent, Received, Turns int
}

// lost returns how many messages the server did not receive. It may receive late messages of the warm-up too.
func (t turns) lost() int { return max(0, t.Sent-t.Received) }

func (w *way) turns(ctx context.Context, lasting time.Duration, network string, burst int) (t turns, err error) {
	addr := netip.AddrPortFrom(w.addr, turnsPort).String()
	out, _, err := w.ask(ctx, []string{"_turns", "serve", network, addr}, strconv.Itoa(turnsPort),
		[]string{"_turns", "-lasting", lasting.String(), "-burst", strconv.Itoa(burst), "ask", network, addr})
	if err != nil {
		return t, err
	}
	if err := json.Unmarshal([]byte(out), &t); err != nil {
		return t, fmt.Errorf("the output of turns: %w: %s", err, out)
	}
	if t.Turns == 0 || t.Seconds == 0 {
		return t, fmt.Errorf("turns got no answer: %s", out)
	}
	return t, nil
}

// turnsPort is the port of the server that answers requests.
const turnsPort = 5202
