package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/podlane/podlane/subnet"
)

// starts holds the figures for one number of peers.
type starts struct {
	peers                      int
	daemon, apply, raw, tools  series // seconds
	cpu, rawCPU, toolsCPU      series // seconds
	peak                       series // bytes
	toolsPeak                  float64
	calls, rawCalls, toolCalls int // on netlink sockets
	lines                      int // of log
}

// start measures a node's first start beside so many nodes.
func start(ctx context.Context, b bench) (s Section, err error) {
	sizes, g := []int{100, 1000, 5000, 10_000, 20_000}, growth{from: 5000, to: 20_000, times: 7}
	if b.quick {
		sizes, g = []int{100, 300}, growth{from: 100, to: 300, times: 2}
	}
	w, beside, end, err := makeBoth(ctx, b)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, end()) }()
	var all []starts
	for _, peers := range sizes {
		m, err := w.measureStart(ctx, b, beside, peers)
		if err != nil {
			return s, fmt.Errorf("%d peers: %w", peers, err)
		}
		all = append(all, m)
	}
	if err := w.measureGrowth(ctx, &g); err != nil {
		return s, fmt.Errorf("growth: %w", err)
	}
	return startSection(all, g), nil
}

// growth compares starts with one number of peers and with another, in turn. Two measurements minutes apart would
// differ if something disturbed the machine meanwhile.
type growth struct {
	from, to, times int
	short, long     series // seconds
}

func (w *world) measureGrowth(ctx context.Context, g *growth) error {
	start := func(peers int, into *series) error {
		if err := w.setPeers(ctx, peers); err != nil {
			return err
		}
		d, err := w.startFresh(ctx, w.Nodes[0])
		if err != nil {
			return err
		}
		into.addTime(d.ready)
		return d.kill()
	}
	return rounds(g.times,
		func() error { return start(g.from, &g.short) },
		func() error { return start(g.to, &g.long) },
	)
}

// row returns the growth, compared with linear growth.
func (g growth) row() Row {
	times := float64(g.to) / float64(g.from)
	slope := ratio(g.long, g.short) / times
	return within(Row{
		What:   fmt.Sprintf("%s peers, exec until verified, beside %g times %s", thousands(g.to), times, thousands(g.from)),
		Figure: g.long.text(seconds), Against: fmt.Sprintf("%g times %s", times, g.short.text(seconds)), Ratio: slope,
	}, slope, 1.3, "at most 1.3")
}

func (w *world) measureStart(ctx context.Context, b bench, beside bare, peers int) (m starts, err error) {
	m.peers = peers
	if err := w.setPeers(ctx, peers); err != nil {
		return m, err
	}
	n := w.Nodes[0]
	if m.calls, m.lines, err = w.countCalls(ctx, n); err != nil {
		return m, err
	}
	e, err := readEntries(ctx, n)
	if err == nil {
		err = e.expect(peers)
	}
	if err != nil {
		return m, err
	}
	if m.rawCalls, err = beside.countRaw(e); err != nil {
		return m, err
	}
	if m.toolCalls, m.toolsPeak, err = beside.countTools(ctx, e); err != nil {
		return m, err
	}
	err = w.startRounds(ctx, b, beside, e, &m)
	return m, err
}

// startRounds measures the starts of podlaned, and beside it the raw requests and the tools that write the same
// entries.
func (w *world) startRounds(ctx context.Context, b bench, beside bare, e entries, m *starts) error {
	n, times := w.Nodes[0], 7
	if m.peers > 5000 {
		times = 5
	}
	if b.quick {
		times = 2
	}
	leases := make([]subnet.Lease, m.peers)
	for i := range leases {
		leases[i] = peerLease(i, 0)
	}
	self := peerLease(0xfe00, 0)
	self.IPv4.PublicIP = underlayAddr.Addr()
	writeAll := func(do func(...edit) ([]cost, error), took, cpu *series) error {
		c, err := do(edit{entries: e})
		if err == nil {
			took.addTime(c[0].took)
			cpu.addTime(c[0].cpu)
		}
		return err
	}
	return rounds(times,
		func() error {
			d, err := w.startFresh(ctx, n)
			if err != nil {
				return err
			}
			used, err := d.end()
			m.daemon.addTime(d.ready)
			m.cpu.addTime(used.cpu)
			m.peak.add(used.peak)
			return err
		},
		func() error { took, err := beside.apply(ctx, self, leases); m.apply.addTime(took); return err },
		func() error { return writeAll(beside.raw, &m.raw, &m.rawCPU) },
		func() error { return writeAll(beside.byTools, &m.tools, &m.toolsCPU) },
	)
}
