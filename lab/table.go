package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"
)

// Kind is the kind of a check.
type Kind int

// The kinds, in the order of the report.
const (
	PodToPod     Kind = iota // every pod pings every other
	NodeToPod                // a node pings a pod on another node
	PodToOwnNode             // a pod pings the node it is on
	PodToOutside             // a pod asks a server outside, which must see the pod's node as source
	SourceKept               // a pod asks a server in another pod, which must see the pod itself as source
)

// Check is one check and its result.
type Check struct {
	Kind     Kind
	From, To string
	RTT      time.Duration // of the fastest ping
	Saw      netip.Addr    // the source address that the server saw
	Err      error         // nil: the check passed
}

// Compare is one figure, measured between two pods on two nodes and between those nodes.
type Compare struct{ Pod, Node float64 }

// Ratio returns the pods' figure divided by the nodes'.
func (c Compare) Ratio() float64 { return c.Pod / c.Node }

// Member is a pod of the table.
type Member struct {
	Name, Node string
	Addr       netip.Addr
}

// Table holds the results of a lab's checks.
type Table struct {
	Pods   []Member
	Checks []Check

	// Between the first two pods on different nodes. Zero in a lab of one node.
	From, To  [2]string // pod and node
	Rate      Compare   // bits per second, TCP
	RoundTrip Compare   // seconds, mean
	RateErr   error
}

// OK reports whether everything passed.
func (t Table) OK() bool { return len(t.Failed()) == 0 && t.RateErr == nil }

// Failed returns the failed checks.
func (t Table) Failed() []Check {
	var failed []Check
	for _, c := range t.Checks {
		if c.Err != nil {
			failed = append(failed, c)
		}
	}
	return failed
}

// Of returns the checks of a kind.
func (t Table) Of(k Kind) []Check {
	var found []Check
	for _, c := range t.Checks {
		if c.Kind == k {
			found = append(found, c)
		}
	}
	return found
}

// pings is the number of packets of one check.
const pings = 3

// Reach checks the reachability of every pod and node. It returns an error only if ctx ended; failed checks are in
// the table.
func (l *Lab) Reach(ctx context.Context) (Table, error) {
	pods := l.Pods()
	var t Table
	for _, p := range pods {
		t.Pods = append(t.Pods, Member{p.Name, p.Node.Name, p.Addrs[0]})
	}
	mirrors, err := l.mirrors(ctx, pods)
	if err != nil {
		return t, err
	}
	defer func() {
		for _, m := range mirrors {
			m.Close()
		}
	}()
	asked := questions(l, pods, mirrors)
	t.Checks = make([]Check, len(asked))
	var wg errgroup.Group
	wg.SetLimit(8) // more would disturb each other's results
	for i, ask := range asked {
		wg.Go(func() error {
			t.Checks[i] = ask(ctx)
			return nil
		})
	}
	_ = wg.Wait() // they return no error
	return t, ctx.Err()
}

// mirrors starts a Mirror in every pod and in the outside. The keys are the names of their places.
func (l *Lab) mirrors(ctx context.Context, pods []*Pod) (map[string]*Mirror, error) {
	mirrors := map[string]*Mirror{}
	var errs []error
	start := func(p *Place, a netip.Addr) {
		m, err := p.NewMirror(ctx, a)
		if err != nil {
			errs = append(errs, err)
			return
		}
		mirrors[p.Name] = m
	}
	start(l.Outside, plans[0].world().Addr())
	for _, p := range pods {
		start(p.Place, p.Addrs[0])
	}
	if err := errors.Join(errs...); err != nil {
		for _, m := range mirrors {
			m.Close()
		}
		return nil, err
	}
	return mirrors, nil
}

// questions returns every check of the table as a function.
func questions(l *Lab, pods []*Pod, mirrors map[string]*Mirror) []func(context.Context) Check {
	var asked []func(context.Context) Check
	ping := func(k Kind, from, to *Place, a netip.Addr) {
		asked = append(asked, func(ctx context.Context) Check {
			c := Check{Kind: k, From: from.Name, To: to.Name}
			c.RTT, c.Err = from.Ping(ctx, a, pings)
			return c
		})
	}
	source := func(k Kind, from, to *Place, want netip.Addr) {
		asked = append(asked, func(ctx context.Context) Check {
			c := Check{Kind: k, From: from.Name, To: to.Name}
			c.Saw, c.Err = from.SourceSeenBy(ctx, mirrors[to.Name])
			if c.Err == nil && c.Saw != want {
				c.Err = fmt.Errorf("the source address seen is %s, not %s", c.Saw, want)
			}
			return c
		})
	}
	for _, from := range pods {
		for _, to := range pods {
			if from != to {
				ping(PodToPod, from.Place, to.Place, to.Addrs[0])
				source(SourceKept, from.Place, to.Place, from.Addrs[0])
			}
		}
		ping(PodToOwnNode, from.Place, from.Node.Place, from.Node.Addr)
		source(PodToOutside, from.Place, l.Outside, from.Node.Addr)
	}
	for _, n := range l.Nodes {
		for _, to := range pods {
			if to.Node != n {
				ping(NodeToPod, n.Place, to.Place, to.Addrs[0])
			}
		}
	}
	return asked
}

// Speed measures two pods on two nodes beside those nodes. It takes about twice the given time and a second. In a lab
// without such pods it does nothing.
func (l *Lab) Speed(ctx context.Context, t *Table, lasting time.Duration) error {
	a, b := l.apart()
	if a == nil {
		return nil
	}
	t.From, t.To = [2]string{a.Name, a.Node.Name}, [2]string{b.Name, b.Node.Name}
	for _, m := range []struct {
		from, to *Place
		addr     netip.Addr
		rate     *float64
		rtt      *float64
	}{
		{a.Node.Place, b.Node.Place, b.Node.Addr, &t.Rate.Node, &t.RoundTrip.Node},
		{a.Place, b.Place, b.Addrs[0], &t.Rate.Pod, &t.RoundTrip.Pod},
	} {
		r, err := m.from.ping(ctx, m.addr, 200, 2*time.Millisecond)
		if err == nil {
			*m.rtt = r.mean.Seconds()
			*m.rate, err = m.from.Throughput(ctx, m.to, m.addr, lasting)
		}
		t.RateErr = errors.Join(t.RateErr, err)
	}
	return ctx.Err()
}

// apart returns the first two pods on different nodes.
func (l *Lab) apart() (a, b *Pod) {
	for _, p := range l.Pods() {
		switch {
		case a == nil:
			a = p
		case p.Node != a.Node:
			return a, p
		}
	}
	return nil, nil
}
