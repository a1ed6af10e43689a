package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/rtnl"
)

// The kernel's notifications by which a change is seen to be done: routes are written last, and removed first.
var (
	routeAdded   = change{unix.RTNLGRP_IPV4_ROUTE, unix.RTM_NEWROUTE, unix.AF_INET}
	routeRemoved = change{unix.RTNLGRP_IPV4_ROUTE, unix.RTM_DELROUTE, unix.AF_INET}
	fdbRemoved   = change{unix.RTNLGRP_NEIGH, unix.RTM_DELNEIGH, unix.AF_BRIDGE}
	fdbWritten   = change{unix.RTNLGRP_NEIGH, unix.RTM_NEWNEIGH, unix.AF_BRIDGE}
)

type change struct {
	group  int
	kind   uint16
	family byte
}

// after is how long after the beginning of cause the node's kernel has seen so many changes.
func (c change) after(ctx context.Context, n *lab.Node, count int, cause func() error) (took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var s *rtnl.Subscription
	if err := n.Do(func() (err error) { s, err = rtnl.Subscribe(c.group); return err }); err != nil {
		return 0, err
	}
	defer s.Close()
	began, done := time.Now(), make(chan error, 1)
	go func() { done <- cause() }()
	seen := 0
	err = s.Await(ctx, func(m rtnl.Message) bool {
		if m.Type == c.kind && m.Body[0] == c.family {
			seen++
		}
		return seen == count
	})
	took = time.Since(began)
	if err == nil && seen < count {
		err = errors.New("notifications were lost")
	}
	if err != nil {
		err = fmt.Errorf("%d of %d changes: %w", seen, count, err)
	}
	return took, errors.Join(err, <-done)
}

// lives is what was measured on a node that runs with many peers, each in seconds.
type lives struct {
	peers, many, moved            int
	one, gone, grow, shrink, move series
	raw, tools                    series // writing as many entries as grow
	writes                        map[string]float64
	cpu                           series // of podlaned for one peer that joins
}

// live measures what a node with 5,000 peers does when some come, go and move.
func live(ctx context.Context, b bench) (s Section, err error) {
	m := lives{peers: 5000, many: 1000, moved: 500}
	times := 7
	if b.quick {
		m, times = lives{peers: 200, many: 100, moved: 50}, 2
	}
	w, err := makeWorld(ctx, b, 1)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	beside, err := makeBare()
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, beside.Delete()) }()
	if err := w.grow(ctx, m.many); err != nil {
		return s, err
	}
	n := w.Nodes[0]
	entries, err := w.entriesOf(ctx, n, m.many)
	if err != nil {
		return s, err
	}
	if err := w.grow(ctx, m.peers); err != nil {
		return s, err
	}
	d, err := startDaemon(ctx, n)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, d.kill()) }()
	if err := w.measureOne(ctx, n, d, &m, 3*times); err != nil {
		return s, err
	}
	if err := b.profile(ctx, n, "live", func() error { return w.measureOne(ctx, n, d, &lives{peers: m.peers}, 5) }); err != nil {
		return s, err
	}
	err = rounds(times,
		func() error { return w.measureMany(ctx, n, &m) },
		func() error { took, err := beside.raw(entries); m.raw.addTime(took); return err },
		func() error { took, err := beside.tools(entries); m.tools.addTime(took); return err },
	)
	return m.section(), err
}

// entriesOf is what podlaned writes for so many peers.
func (w *world) entriesOf(ctx context.Context, n *lab.Node, peers int) (e entries, err error) {
	d, err := startDaemon(ctx, n)
	if err != nil {
		return e, err
	}
	if e, err = readEntries(ctx, n); err == nil {
		err = e.expect(peers)
	}
	return e, errors.Join(err, d.kill())
}

// measureOne lets a peer come and go, some times.
func (w *world) measureOne(ctx context.Context, n *lab.Node, d *daemon, m *lives, times int) error {
	before, err := readMetrics(ctx, n)
	if err != nil {
		return err
	}
	for range times {
		if _, err := settled(ctx, n); err != nil { // what comes soon after another is gathered
			return err
		}
		used, err := d.used()
		if err != nil {
			return err
		}
		took, err := routeAdded.after(ctx, n, 1, func() error { return w.put(ctx, m.peers, m.peers+1, 0) })
		if err != nil {
			return err
		}
		m.one.addTime(took)
		if _, err := settled(ctx, n); err != nil {
			return err
		}
		if took, err = routeRemoved.after(ctx, n, 1, func() error { return w.remove(ctx, m.peers, m.peers+1) }); err != nil {
			return err
		}
		m.gone.addTime(took)
		if _, err := settled(ctx, n); err != nil {
			return err
		}
		since, err := d.used()
		if err != nil {
			return err
		}
		m.cpu.addTime((since - used) / 2)
	}
	after, err := settled(ctx, n)
	if err != nil {
		return err
	}
	m.writes = map[string]float64{}
	for name, v := range after {
		if kind, ok := operation(name); ok && v > before[name] {
			m.writes[kind] = (v - before[name]) / float64(2*times)
		}
	}
	return nil
}

// measureMany lets many come and go, and some move to another address and back.
func (w *world) measureMany(ctx context.Context, n *lab.Node, m *lives) error {
	for _, step := range []struct {
		seen  change
		count int
		into  *series
		cause func() error
	}{
		{routeAdded, m.many, &m.grow, func() error { return w.put(ctx, m.peers, m.peers+m.many, 0) }},
		{routeRemoved, m.many, &m.shrink, func() error { return w.remove(ctx, m.peers, m.peers+m.many) }},
		{fdbWritten, m.moved, &m.move, func() error { return w.put(ctx, 0, m.moved, 1) }},
		{fdbWritten, m.moved, &m.move, func() error { return w.put(ctx, 0, m.moved, 0) }},
	} {
		took, err := step.seen.after(ctx, n, step.count, step.cause)
		if err != nil {
			return err
		}
		step.into.addTime(took)
		if _, err := settled(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

func (m lives) section() Section {
	with := " of a node with " + thousands(m.peers) + " peers"
	one := within(Row{What: "one peer joins: from before the write to etcd until the kernel has its route", Figure: m.one.text(seconds)}, m.one.median(), 0.050, "50 ms")
	wrote := Row{What: "writes to the kernel for a peer that joins, and for one that leaves", Figure: fmt.Sprint(m.writes)}
	for _, v := range m.writes {
		wrote.Missed = wrote.Missed || v != 1
	}
	wrote.Missed = wrote.Missed || len(m.writes) != 4
	wrote.Reach = "a neighbour, an FDB entry, a route, a set element"
	return Section{
		Title: "Peers come, go and move" + with,
		Text: "From before the first write to etcd, a hundred leases in a transaction, until the kernel has told of the last change. Beside it, in turn: the entries of as many peers written as raw netlink requests, and by " +
			"`ip -batch` and `bridge -batch` with one metric, on a device that has no others.",
		Rows: []Row{
			one,
			{What: "one peer leaves", Figure: m.gone.text(seconds)},
			{What: "CPU time of podlaned for one that joins or leaves", Figure: m.cpu.text(seconds)},
			wrote,
			{What: thousands(m.many) + " join", Figure: m.grow.text(seconds), Against: "ip + bridge -batch " + m.tools.text(seconds), Ratio: ratio(m.grow, m.tools)},
			{What: thousands(m.many) + " join", Figure: m.grow.text(seconds), Against: "raw netlink " + m.raw.text(seconds), Ratio: ratio(m.grow, m.raw)},
			{What: thousands(m.many) + " leave", Figure: m.shrink.text(seconds)},
			{What: thousands(m.moved) + " move to other addresses at once", Figure: m.move.text(seconds)},
		},
	}
}
