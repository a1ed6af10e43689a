package kubernetes

import (
	"slices"
	"time"

	"github.com/podlane/podlane/channel"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

// Has the API server lost data?
//
// The etcd behind it can be restored from a backup. Nodes that joined since then are missing until their kubelets register
// them again. They still run. So all peers that were known are retained for the grace period, as with the etcd store.
//
// A peer whose Node an administrator deletes is removed at once: the deletion comes alone, and with a higher revision.

// loss holds what is known about losses of data.
type loss struct {
	highest  int64 // the highest revision since the last loss
	reported report
	count    int // how many podlaned has found since its start
	retained store.Retention
}

// report is what podlane-kube has reported of losses.
type report struct {
	connection int // the one that delivered the last set
	losses     int // since the start of podlane-kube
}

// previous is what was known before a message.
type previous struct {
	set  subnet.Set
	node channel.Own
}

// recordLoss compares a lease set with the previous one. If the API server has lost data, it retains the peers that were known.
func (m *machine) recordLoss(l *channel.Leases, prev previous, now time.Time) {
	first, until := prev.set.Revision == 0, now.Add(m.opts.Grace)
	switch {
	case m.showsLoss(l, prev):
		m.loss.count++
		m.loss.retained.Add(m.knownPeers(prev), until)
		m.loss.highest = l.Revision
	case first && m.opts.Saved != nil:
		m.loss.retained.Add(m.opts.Saved.LostLeases(), until)
	}
	m.loss.highest = max(m.loss.highest, l.Revision)
	m.loss.reported = report{m.connection.number, l.Losses}
	m.prune(now)
}

// showsLoss reports whether a lease set shows that the API server has lost data:
//
//   - The revision is lower than before. podlaned sends the highest one in its hello, and podlane-kube has confirmed the list.
//   - podlane-kube reports another loss. The first report of a connection may be old: then the revision decides.
//   - The own Node is missing together with another one. An administrator deletes Nodes one by one.
func (m *machine) showsLoss(l *channel.Leases, prev previous) bool {
	first, reported := prev.set.Revision == 0, m.loss.reported
	if l.Revision < m.loss.highest || m.connection.number == reported.connection && l.Losses > reported.losses {
		return true
	}
	existed := prev.node.Exists || first && m.opts.Saved != nil && m.opts.Saved.Own != ""
	if !existed || l.Own.Exists {
		return false
	}
	present := newIndex(m.set.Records)
	return slices.ContainsFunc(m.knownPeers(prev), func(k subnet.Lease) bool { return !present.overlaps(k.Pair()) })
}

// knownPeers returns the leases that were known before a message, without ours.
func (m *machine) knownPeers(prev previous) []subnet.Lease {
	set, own := prev.set, m.own.lease.Pair()
	if set.Revision == 0 && m.opts.Saved != nil {
		set = m.opts.Saved.Set()
		if l, ok := m.opts.Saved.Lease(); ok {
			own = l.Pair()
		}
	}
	return slices.DeleteFunc(set.Leases(), func(l subnet.Lease) bool { return l.Pair() == own })
}

// prune drops retained peers whose grace period is over, and those whose pod subnet a Node has again.
func (m *machine) prune(now time.Time) {
	if m.loss.retained.Len() == 0 {
		return
	}
	present := newIndex(m.set.Records)
	m.loss.retained.Prune(now, func(l subnet.Lease) bool {
		return present.overlaps(l.Pair()) || l.Pair().Overlaps(m.own.lease.Pair())
	})
}
