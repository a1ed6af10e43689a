package main

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

// receive applies a state of the store. It reports whether the state is a reason to reconcile.
func (l *loop) receive(s store.State) (work bool) {
	s, expired := l.stateFile.loaded.fallback(s, l.config.store, l.overdue, time.Now())
	l.problems.Check("saved lease", expired)
	if l.running() {
		s = keepOwnSubnet(l.state, s, l.config.store)
	}
	work = needsWork(l.state, s)
	l.stateFile.update(s.Held, work)
	l.state = s
	l.problems.Check(string(l.config.store), s.Err)
	l.problems.SetAll("etcd files", s.Files)
	l.problems.Set("lease", s.Conflict)
	for _, w := range s.Warnings {
		l.warnings.logOnce(w)
	}
	if !l.running() {
		l.network = s.Network // a later change is for the next start
	}
	if work {
		l.screen()
	}
	return work
}

// screen finds which leases of the state are peers on this underlay.
func (l *loop) screen() { l.peers.screen(l.network, l.underlay.iface.Addrs, l.state.Own, l.state.Set) }

// needsWork reports whether a state has something new to program, to announce or to save. Most states have nothing: they only
// show that the store has answered, or has not.
func needsWork(before, now store.State) bool {
	return now.Held != before.Held || now.Own != before.Own || !now.Expiry.Equal(before.Expiry) ||
		now.Conflict != before.Conflict || now.Set.Revision != before.Set.Revision || now.Set.Junk != before.Set.Junk ||
		!slices.Equal(now.Set.Records, before.Set.Records) || !bytes.Equal(now.Config, before.Config)
}

// keepOwnSubnet returns a new state with the pod subnet that the pods use. The store may have no lease for this node, or
// another one.
func keepOwnSubnet(before, s store.State, kind storeKind) store.State {
	own := before.Own
	switch {
	case s.Own == (subnet.Lease{}):
		s.Own, s.Held, s.Expiry = own, false, before.Expiry
		if s.Set.Revision == 0 {
			s.Set = before.Set
		}
	case s.Own.Pair() != own.Pair():
		s.Conflict = fmt.Sprintf("%s has the pod subnet %s for this node, but its pods use %s: drain the node, run `podlaned cleanup`, and start podlaned again",
			kind.place(), s.Own.Pair(), own.Pair())
		s.Own, s.Held = own, false
	}
	return s
}
