package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/rtnl"
)

// The kernel's notifications that show the end of a change. The route of a new peer is written last. The neighbour of
// a deleted peer is removed last.
var (
	routeAdded       = change{unix.RTNLGRP_IPV4_ROUTE, unix.RTM_NEWROUTE, unix.AF_INET}
	neighbourRemoved = change{unix.RTNLGRP_NEIGH, unix.RTM_DELNEIGH, unix.AF_INET}
	fdbWritten       = change{unix.RTNLGRP_NEIGH, unix.RTM_NEWNEIGH, unix.AF_BRIDGE}
)

var errLost = errors.New("notifications were lost")

// change is a change of an entry of the tunnel.
type change struct {
	group  int
	kind   uint16
	family byte
}

// after returns how long after the start of cause the node's kernel has seen this number of changes.
func (c change) after(ctx context.Context, n *lab.Node, count int, cause func() error) (took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	s, index, err := subscribe(n, c.group)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	began, done := time.Now(), make(chan error, 1)
	go func() { done <- cause() }()
	seen := 0
	err = s.Await(ctx, func(m rtnl.Message) bool {
		if m.Type == c.kind && m.Body[0] == c.family && interfaceOf(m) == index {
			seen++
		}
		return seen == count
	})
	took = time.Since(began)
	if err == nil && seen < count {
		err = errLost
	}
	if err != nil {
		err = fmt.Errorf("%d of %d changes: %w", seen, count, err)
	}
	return took, errors.Join(err, <-done)
}

// subscribe subscribes to a node's kernel. It also returns the index of the tunnel's device.
func subscribe(n *lab.Node, groups ...int) (s *rtnl.Subscription, index int, err error) {
	err = n.Do(func() error {
		tunnel, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		index = tunnel.Index
		s, err = rtnl.Subscribe(groups...)
		return err
	})
	return s, index, err
}

// lives holds the figures of a node that runs with many peers, in seconds.
type lives struct {
	peers, many, moved int
	join, leave        one
	own, raw, tools    bulk // of podlaned; and of the others, on a device without more entries
}

// bulk holds how long it takes when many peers join, when some move to other addresses or back, and when they leave.
type bulk struct{ come, move, leave series }

// live measures a node with 5,000 peers while some join, leave and move.
func live(ctx context.Context, b bench) (s Section, err error) {
	m := lives{peers: 5000, many: 1000, moved: 500}
	times := 7
	if b.quick {
		m, times = lives{peers: 200, many: 100, moved: 50}, 2
	}
	w, beside, end, err := makeBoth(ctx, b)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, end()) }()
	if err := w.setPeers(ctx, m.many); err != nil {
		return s, err
	}
	n := w.Nodes[0]
	entries, err := w.entriesOf(ctx, n, m.many)
	if err != nil {
		return s, err
	}
	if err := w.setPeers(ctx, m.peers); err != nil {
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
		func() error { return m.raw.measure(beside.raw, entries, m.moved) },
		func() error { return m.tools.measure(beside.byTools, entries, m.moved) },
	)
	return m.section(), err
}

// measure lets the peers of entries join, some of them move and move back, and all leave, without podlaned.
func (c *bulk) measure(do func(...edit) ([]cost, error), e entries, moved int) error {
	there, back := e.moved(moved), entries{FDB: e.FDB[:moved]}
	costs, err := do(edit{entries: e}, edit{entries: there}, edit{entries: back}, edit{entries: e, remove: true})
	if err != nil {
		return err
	}
	for i, s := range []*series{&c.come, &c.move, &c.move, &c.leave} {
		s.addTime(costs[i].took)
	}
	return nil
}

// entriesOf returns what podlaned writes for this number of peers.
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

// measureMany lets many peers join and leave, and some move to another address and back.
func (w *world) measureMany(ctx context.Context, n *lab.Node, m *lives) error {
	for _, step := range []struct {
		seen  change
		count int
		into  *series
		cause func() error
	}{
		{routeAdded, m.many, &m.own.come, func() error { return w.put(ctx, m.peers, m.peers+m.many, 0) }},
		{neighbourRemoved, m.many, &m.own.leave, func() error { return w.remove(ctx, m.peers, m.peers+m.many) }},
		{fdbWritten, m.moved, &m.own.move, func() error { return w.put(ctx, 0, m.moved, 1) }},
		{fdbWritten, m.moved, &m.own.move, func() error { return w.put(ctx, 0, m.moved, 0) }},
	} {
		took, err := step.seen.after(ctx, n, step.count, step.cause)
		if err != nil {
			return err
		}
		step.into.addTime(took)
		if _, err := waitIdle(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

func (m lives) section() Section {
	with := " of a node with " + thousands(m.peers) + " peers"
	s := Section{
		Title: "Peers come, go and move" + with,
		Text: "Times are from before the first write to etcd, a hundred leases in one transaction, until the kernel's " +
			"notification of the last change. For a peer that joins this is its route. It is written after its set elements, " +
			"its neighbour and its FDB entry, so the peer is reachable from then on. CPU time is the scheduler's account of " +
			"podlaned's threads, from idle to idle, without requests in between. podlaned's own count of its writes is from " +
			"/metrics, read before and after. Many peers that join, move or leave are compared, in turn, with the same " +
			"changes as raw netlink requests, and with `ip -batch` and `bridge -batch` with one metric. These run on a " +
			"device without other entries, without etcd, and do not read back.",
		Rows: m.rows(),
	}
	for _, c := range []struct {
		what string
		of   func(bulk) series
	}{
		{thousands(m.many) + " join", func(c bulk) series { return c.come }},
		{thousands(m.many) + " leave", func(c bulk) series { return c.leave }},
		{thousands(m.moved) + " move to other addresses at once", func(c bulk) series { return c.move }},
	} {
		own, tools, raw := c.of(m.own), c.of(m.tools), c.of(m.raw)
		s.Rows = append(s.Rows,
			Row{What: c.what, Figure: own.text(seconds), Against: "ip + bridge -batch " + tools.text(seconds), Ratio: ratio(own, tools)},
			Row{What: c.what, Figure: own.text(seconds), Against: "raw netlink " + raw.text(seconds), Ratio: ratio(own, raw)})
	}
	return s
}
