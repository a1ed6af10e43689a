package etcd

import (
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/podlane/podlane/subnet"
)

// etcd can lose data: a member is wiped, a backup is restored. The cluster id stays the same, revisions start again
// lower, and a watch is silent about it. The nodes still are where they were; so each puts its own key back, one of them
// the configuration, and meanwhile all keep the peers they knew.

// retained is a peer that stands no longer in etcd.
type retained struct {
	lease subnet.Lease
	until time.Time
}

// replace takes over a complete list, and tells whether it shows a loss of data. forked: it is known to be of another
// history than the mirror. The first list after a start need not show a loss of before it: what was kept then is kept on,
// for the time of grace anew.
func (s *session) replace(m *mirror, forked bool, now time.Time, grace time.Duration) (lost bool) {
	back := s.wentBack(m, forked, now)
	if lost = forked || back || s.lossShows(m, now); lost {
		s.lost = true
		s.losses++
		s.retain(s.known(), now.Add(grace))
	} else if s.mirror == nil && s.saved != nil {
		s.retain(s.saved.LostLeases(), now.Add(grace))
	}
	if s.mirror == nil {
		s.listed = now
	} else if m.config.revision == 0 && s.restoring.source == fromWatch {
		s.restoring = restoring{source: fromList}
	}
	s.mirror, s.seen = m, m.revision
	s.readConfig()
	s.prune(now)
	return lost
}

// absorb takes in a response of the watch. One that deletes our own key before its time ran out deletes the leases of
// nodes that are still there: what goes with it is kept as after any other loss.
func (s *session) absorb(prefix string, resp clientv3.WatchResponse, now time.Time, grace time.Duration) {
	_, present := s.mirrored()
	own := prefix + "/" + subnets + s.own.key()
	if !present || !s.alive(now) || !slices.ContainsFunc(resp.Events, func(e *clientv3.Event) bool {
		return e.Type == clientv3.EventTypeDelete && string(e.Kv.Key) == own
	}) {
		s.mirror.absorb(prefix, resp)
		return
	}
	known := s.known()
	s.mirror.absorb(prefix, resp)
	s.lost = s.lost || s.mirror.config.revision == 0
	s.losses++
	s.retain(known, now.Add(grace))
	s.prune(now)
}

// retain keeps peers until a time; those that still stand in etcd are pruned.
func (s *session) retain(leases []subnet.Lease, until time.Time) {
	for _, l := range leases {
		key := l.Pair().Key()
		if _, already := s.retained[key]; !already {
			s.retained[key] = retained{l, until}
		}
	}
}

// alive tells whether our own key should stand.
func (s *session) alive(now time.Time) bool {
	return s.own.established && (s.own.reserved || now.Before(s.own.expiry))
}

// lossShows tells whether a list is of an etcd that lost data: its revision is lower than one we saw, or our own key is
// missing, or older than our last write, before its time ran out.
func (s *session) lossShows(m *mirror, now time.Time) bool {
	if m.revision < s.seen {
		return true
	}
	key, modified, alive := s.own.key(), s.own.modified, s.alive(now)
	if s.mirror == nil && s.saved != nil && s.saved.Own != "" {
		key, modified, alive = s.saved.Own, 0, s.saved.Expiry.IsZero() || now.Before(s.saved.Expiry)
	} else if _, present := s.mirrored(); !present {
		return false // it is known to be gone: an event said so
	}
	e, present := m.entries[key]
	return alive && (!present || e.record.Modified < modified)
}

// known is every lease that was known before the list at hand, ours left out.
func (s *session) known() []subnet.Lease {
	var set subnet.Set
	own := s.own.lease.Pair()
	switch {
	case s.mirror != nil:
		set = s.mirror.set()
	case s.saved != nil:
		set = s.saved.Set()
		if l, ok := s.saved.Lease(); ok {
			own = l.Pair()
		}
	}
	return slices.DeleteFunc(set.Leases(), func(l subnet.Lease) bool { return l.Pair() == own })
}

// prune lets go of retained peers: those whose time is over, whose key is back, or whose pod subnet is another's now.
func (s *session) prune(now time.Time) {
	for key, r := range s.retained {
		_, back := s.mirror.entries[key]
		_, taken := s.mirror.rival(r.lease.Pair())
		if back || taken || !now.Before(r.until) || r.lease.Pair().Overlaps(s.own.lease.Pair()) {
			delete(s.retained, key)
		}
	}
}

// pruneAt is when the next retained peer's time is over; zero: there is none.
func (s *session) pruneAt() (at time.Time) {
	for _, r := range s.retained {
		if at.IsZero() || r.until.Before(at) {
			at = r.until
		}
	}
	return at
}

// set is the mirror's set and the retained peers.
func (s *session) set() subnet.Set {
	set := s.mirror.set()
	for _, r := range s.retained {
		set.Records = append(set.Records, subnet.Record{Lease: r.lease})
	}
	if len(s.retained) > 0 {
		slices.SortFunc(set.Records, byKey)
	}
	return set
}
