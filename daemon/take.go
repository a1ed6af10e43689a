package main

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

// take makes a state the newest, and tells whether there may be something to do for it.
func (l *loop) take(s store.State) (work bool) {
	s, stale := l.stateFile.loaded.standIn(s, time.Now())
	l.troubles.check("saved lease", stale)
	if l.running() {
		s = l.steady(s)
	}
	work = news(l.state, s)
	l.stateFile.update(s.Held, work)
	l.state = s
	l.troubles.check("etcd", explain(l.config, s.Err))
	l.troubles.setAll("etcd files", s.Files)
	l.troubles.set("lease", s.Conflict)
	for _, w := range s.Warnings {
		l.warnings.logOnce(w)
	}
	if !l.running() {
		l.network = s.Network // once running, one that changes is for the next start
	}
	if !work {
		return false
	}
	l.screen()
	return true
}

// screen finds which leases of the state are peers on this underlay.
func (l *loop) screen() { l.peers.screen(l.network, l.underlay.iface.Addrs, l.state.Own, l.state.Set) }

// news tells whether a state has something to program, announce or save that the one before has not: most say only that
// etcd has answered, or has not.
func news(before, now store.State) bool {
	return now.Held != before.Held || now.Own != before.Own || !now.Expiry.Equal(before.Expiry) ||
		now.Conflict != before.Conflict || now.Set.Revision != before.Set.Revision || now.Set.Junk != before.Set.Junk ||
		!slices.Equal(now.Set.Records, before.Set.Records) || !bytes.Equal(now.Config, before.Config)
}

// steady keeps the pod subnet that the pods run on, whatever the store says: until it has a lease again, and where it has
// been given another.
func (l *loop) steady(s store.State) store.State {
	was := l.state.Own
	switch {
	case s.Own == (subnet.Lease{}):
		s.Own, s.Held, s.Expiry = was, false, l.state.Expiry
		if s.Set.Revision == 0 {
			s.Set = l.state.Set
		}
	case s.Own.Pair() != was.Pair():
		s.Conflict = fmt.Sprintf("etcd has the pod subnet %s for this node, whose pods run on %s: drain it, run `podlaned cleanup`, and start podlaned again",
			s.Own.Pair(), was.Pair())
		s.Own, s.Held = was, false
	}
	return s
}
