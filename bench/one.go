package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/rtnl"
)

// one holds what a node did each time a single peer joined or left.
type one struct {
	took, cpu series   // seconds
	counted   []writes // to the kernel, from podlaned's own metrics
	notified  []writes // from the kernel's notifications; there are none for set elements here
}

// writes is the number of writes of each kind.
type writes map[string]int

// The allowed writes for one peer. The firewall has a set of the peers' addresses, and one of their pod subnets.
var (
	ofOnePeer     = writes{"neighbour": 1, "fdb": 1, "route": 1, "element": 2}
	notifiedJoin  = writes{"neighbour": 1, "fdb": 1, "route": 1}
	notifiedLeave = writes{"neighbour gone": 1, "fdb gone": 1, "route gone": 1}
)

// Waiting times. podlaned writes its saved state at most once a second: a change sooner after another one would leave
// that write to the next. podlaned has finished a change when it has used no CPU for quiet.
const (
	unhurried = 1500 * time.Millisecond
	quiet     = 300 * time.Millisecond
)

// measureOne lets a peer join and leave, several times.
func (w *world) measureOne(ctx context.Context, n *lab.Node, d *daemon, m *lives, times int) error {
	for range times {
		if err := m.join.measure(ctx, n, d, routeAdded, func() error { return w.put(ctx, m.peers, m.peers+1, 0) }); err != nil {
			return fmt.Errorf("one joins: %w", err)
		}
		if err := m.leave.measure(ctx, n, d, neighbourRemoved, func() error { return w.remove(ctx, m.peers, m.peers+1) }); err != nil {
			return fmt.Errorf("one leaves: %w", err)
		}
	}
	return nil
}

// measure measures one change until its last notification. It asks podlaned nothing between the two readings of its
// CPU time: an answer about 5,000 peers costs more than the change.
func (o *one) measure(ctx context.Context, n *lab.Node, d *daemon, seen change, cause func() error) error {
	before, err := waitIdle(ctx, n)
	if err != nil {
		return err
	}
	if err := wait(ctx, unhurried); err != nil {
		return err
	}
	told, err := notified(ctx, n, func() error {
		start, err := d.rest(ctx)
		if err != nil {
			return err
		}
		took, err := seen.after(ctx, n, 1, cause)
		if err != nil {
			return err
		}
		end, err := d.rest(ctx)
		o.took.addTime(took)
		o.cpu.addTime(end - start)
		return err
	})
	if err != nil {
		return err
	}
	after, err := readMetrics(ctx, n)
	o.counted, o.notified = append(o.counted, written(before, after)), append(o.notified, told)
	return err
}

func wait(ctx context.Context, lasting time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(lasting):
		return nil
	}
}

// rest waits until the daemon uses no CPU. It returns the CPU time so far.
func (d *daemon) rest(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	last, since := time.Duration(-1), time.Now()
	for {
		used, err := d.used()
		if err != nil {
			return 0, err
		}
		if used != last {
			last, since = used, time.Now()
		}
		if time.Since(since) >= quiet {
			return used, nil
		}
		if err := wait(ctx, 20*time.Millisecond); err != nil {
			return 0, fmt.Errorf("wait until podlaned does nothing: %w", err)
		}
	}
}

// written returns the writes between two readings of the metrics, including refused ones.
func written(before, after map[string]float64) writes {
	w := writes{}
	for name, v := range after {
		if kind, ok := operation(name); ok && v != before[name] {
			w[kind] += int(v - before[name])
		}
	}
	return w
}

// notified returns the kernel's notifications of the tunnel's entries while meanwhile runs.
func notified(ctx context.Context, n *lab.Node, meanwhile func() error) (writes, error) {
	s, index, err := subscribe(n, unix.RTNLGRP_NEIGH, unix.RTNLGRP_IPV4_ROUTE)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	listening, stop := context.WithCancel(ctx)
	defer stop()
	w, heard := writes{}, make(chan error, 1)
	go func() {
		heard <- s.Await(listening, func(m rtnl.Message) bool {
			if interfaceOf(m) == index && !failing(m) {
				w[entry(m)]++
			}
			return false
		})
	}()
	err = meanwhile()
	stop()
	lost := <-heard
	switch {
	case lost == nil:
		lost = errLost
	case ctx.Err() == nil && errors.Is(lost, context.Canceled):
		lost = nil
	}
	return w, errors.Join(err, lost)
}

// entry names the object of a notification.
func entry(m rtnl.Message) string {
	name := "neighbour"
	switch {
	case m.Type == unix.RTM_NEWROUTE || m.Type == unix.RTM_DELROUTE:
		name = "route"
	case m.Body[0] == unix.AF_BRIDGE:
		name = "fdb"
	}
	if m.Type == unix.RTM_DELROUTE || m.Type == unix.RTM_DELNEIGH {
		name += " gone"
	}
	return name
}

// failing reports whether a neighbour is about to be removed. The kernel first marks such a neighbour as failed, and
// sends a notification of both steps (neigh_delete).
func failing(m rtnl.Message) bool {
	h, _, ok := m.Header(unix.SizeofNdMsg)
	return ok && m.Type == unix.RTM_NEWNEIGH && binary.NativeEndian.Uint16(h[8:]) == unix.NUD_FAILED
}

// interfaceOf returns the index of the interface of a neighbour, an FDB entry or a route; 0 if there is none.
func interfaceOf(m rtnl.Message) int {
	if m.Type == unix.RTM_NEWNEIGH || m.Type == unix.RTM_DELNEIGH {
		if h, _, ok := m.Header(unix.SizeofNdMsg); ok {
			return int(binary.NativeEndian.Uint32(h[4:]))
		}
		return 0
	}
	_, attrs, _ := m.Header(unix.SizeofRtMsg)
	for attrs.Next() {
		if attrs.Type == unix.RTA_OIF {
			return int(attrs.Uint32())
		}
	}
	return 0
}

// text returns the writes of all times. If they differ, it returns how often each occurred.
func text(all []writes) string {
	times := map[string]int{}
	for _, w := range all {
		var parts []string
		for _, kind := range slices.Sorted(maps.Keys(w)) {
			parts = append(parts, fmt.Sprintf("%s %d", kind, w[kind]))
		}
		times[strings.Join(parts, ", ")]++
	}
	var parts []string
	for _, t := range slices.Sorted(maps.Keys(times)) {
		if len(times) > 1 {
			t = fmt.Sprintf("%d times: %s", times[t], t)
		}
		parts = append(parts, t)
	}
	return strings.Join(parts, "; ")
}

// exactly returns a row that requires the wanted writes each time. A mean would hide a time with two writes beside
// one with none.
func exactly(what string, all []writes, wanted writes, reach string) Row {
	differs := func(w writes) bool { return !maps.Equal(w, wanted) }
	return Row{What: what, Figure: text(all), Reach: reach, Missed: len(all) == 0 || slices.ContainsFunc(all, differs)}
}

// rows returns the rows of a single peer that joins and leaves.
func (m lives) rows() []Row {
	const each = "exactly one each time of neighbour, FDB entry, route"
	return []Row{
		within(Row{What: "one peer joins: from before the write to etcd until the kernel has its route, which is written last", Figure: m.join.took.text(seconds)}, m.join.took.median(), 0.050, "50 ms"),
		{What: "one peer leaves: until the kernel has its neighbour no more, which is removed last", Figure: m.leave.took.text(seconds)},
		{What: "CPU time of podlaned for one that joins", Figure: m.join.cpu.text(seconds)},
		{What: "CPU time of podlaned for one that leaves", Figure: m.leave.cpu.text(seconds)},
		exactly("writes for one that joins, by podlaned's own count", m.join.counted, ofOnePeer, each+", and an element in each of two sets"),
		exactly("writes for one that leaves, by podlaned's own count", m.leave.counted, ofOnePeer, each+", and an element in each of two sets"),
		exactly("the kernel's notifications of one that joins", m.join.notified, notifiedJoin, each),
		exactly("the kernel's notifications of one that leaves", m.leave.notified, notifiedLeave, each),
	}
}
