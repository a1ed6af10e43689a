package machine

import (
	"slices"
	"time"

	"github.com/podlane/podlane/subnet"
)

// Has the store lost data?
//
// etcd can lose data: a member is wiped, a backup is restored. The cluster id stays the same, revisions start again lower,
// and a watch reports nothing. The nodes still run. So each restores its own key, one of them restores the configuration, and
// all retain the peers that they knew.

// Replace applies a complete list. It reports whether the list shows a loss of data. forked: the list is known to have another
// history than the mirror.
//
// The first list after a start need not show a loss from before the start. Leases that were retained then are retained again
// for the whole grace period.
func (m *Machine) Replace(list *Mirror, forked bool, now time.Time) (lost bool) {
	back := m.detectRestore(list, forked, now)
	if lost = forked || back || m.showsLoss(list, now); lost {
		m.lost = true
		m.losses++
		m.retained.Add(m.knownPeers(), now.Add(m.opts.Grace))
	} else if m.mirror == nil && m.opts.Saved != nil {
		m.retained.Add(m.opts.Saved.LostLeases(), now.Add(m.opts.Grace))
	}
	if m.mirror == nil {
		m.listed = now
	} else if list.config.revision == 0 && m.configRestore.source == fromWatch {
		m.configRestore = configRestore{source: fromList}
	}
	m.mirror, m.seen = list, list.revision
	m.readConfig()
	m.prune(now)
	return lost
}

// applyEvents applies the events of a watch. If they delete our own key before its expiry, the store has lost data. Then the
// other deleted leases are also of nodes that still run, and are retained.
func (m *Machine) applyEvents(events []Event, now time.Time) {
	_, present := m.ownEntry()
	own := Leases + m.own.key()
	if !present || !m.leaseValid(now) || !slices.ContainsFunc(events, func(e Event) bool { return e.Deleted && e.Name == own }) {
		m.mirror.watched(events)
		return
	}
	known := m.knownPeers()
	m.mirror.watched(events)
	m.lost = m.lost || m.mirror.config.revision == 0
	m.losses++
	m.retained.Add(known, now.Add(m.opts.Grace))
	m.prune(now)
}

// leaseValid reports whether our own key should exist.
func (m *Machine) leaseValid(now time.Time) bool {
	return m.own.established && (m.own.reserved || now.Before(m.own.expiry))
}

// showsLoss reports whether our own key in a list shows a loss of data. Then the key is missing before its expiry, or older
// than our last write. A lower revision also shows a loss (detectRestore).
func (m *Machine) showsLoss(list *Mirror, now time.Time) bool {
	saved := m.opts.Saved
	key, modified, valid := m.own.key(), m.own.modified, m.leaseValid(now)
	if m.mirror == nil && saved != nil && saved.Own != "" {
		key, modified, valid = saved.Own, 0, saved.Expiry.IsZero() || now.Before(saved.Expiry)
	} else if _, present := m.ownEntry(); !present {
		return false // an event has deleted it
	}
	e, present := list.entries[key]
	return valid && (!present || e.record.Modified < modified)
}

// knownPeers returns the leases that were known before the current list, without ours.
func (m *Machine) knownPeers() []subnet.Lease {
	var set subnet.Set
	own := m.own.lease.Pair()
	switch {
	case m.mirror != nil:
		set = m.mirror.Set()
	case m.opts.Saved != nil:
		set = m.opts.Saved.Set()
		if l, ok := m.opts.Saved.Lease(); ok {
			own = l.Pair()
		}
	}
	return slices.DeleteFunc(set.Leases(), func(l subnet.Lease) bool { return l.Pair() == own })
}

// prune drops retained peers whose time is over, whose key exists again, or whose pod subnet another node has now.
func (m *Machine) prune(now time.Time) {
	m.retained.Prune(now, func(l subnet.Lease) bool {
		_, restored := m.mirror.entries[l.Pair().Key()]
		_, taken := m.mirror.rival(l.Pair())
		return restored || taken || l.Pair().Overlaps(m.own.lease.Pair())
	})
}
