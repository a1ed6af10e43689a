package machine

import (
	"time"

	"github.com/podlane/podlane/subnet"
)

// Which lease does a node use while the store refuses its write?
//
// A node that starts writes its lease before it uses it. etcd may answer reads and refuse that write: the role may only
// read, an alarm is raised, or the quorum was lost meanwhile. The node then adopts its valid lease without the write: the
// listed one, or else the saved one. It tries the write again and reports its error until it succeeds.

// Adoption is a lease that the node may use before it has written it.
type Adoption struct {
	own   ownLease
	ttlID int64
}

// TTL returns the id of the time to live of the lease's key. ask reports whether the caller must ask the store when it
// expires.
func (a Adoption) TTL() (id int64, ask bool) {
	return a.ttlID, !a.own.reserved && a.own.expiry.IsZero()
}

// Adoptable returns the lease to adopt after its write has failed, if there is one. Otherwise the node continues to join.
func (m *Machine) Adoptable(now time.Time) (a Adoption, found bool) {
	if m.mirror == nil || m.config == nil || m.own.lease != (subnet.Lease{}) || m.opts.Check != nil && m.opts.Check(m.network) != nil {
		return a, false
	}
	saved, valid := m.validSavedLease(now)
	lease, found := saved, valid
	if d, err := subnet.Decide(m.network, m.self, m.mirror.Set(), subnet.Claim{}); err == nil && d.Verdict == subnet.TakeOver && d.Record.Node != (subnet.Node{}) {
		lease, found = d.Record.Lease, true
	}
	pair := lease.Pair()
	if !found || !m.network.Fits(pair) {
		return a, false
	}
	a.own = ownLease{lease: lease, established: true}
	e, listed := m.mirror.entries[pair.Key()]
	if listed && e.fault == "" {
		if !sameNode(e.record.Lease, lease) {
			return Adoption{}, false
		}
		a.own.lease, a.own.modified = e.record.Lease, e.record.Modified
	}
	if rival, contested := m.mirror.rival(pair); contested && (!listed || rival.record.Created < e.record.Created) {
		return Adoption{}, false
	}
	if valid && saved.Pair() == pair {
		a.own.expiry, a.own.reserved = m.opts.Saved.Expiry, m.opts.Saved.Expiry.IsZero()
	}
	if listed {
		a.own.reserved = e.record.TTLID == 0
	}
	a.ttlID = e.record.TTLID
	return a, true
}

// Adopt uses a lease, and reports whether it may. expiry is the store's answer, if Adoption.TTL needs one. Zero: there is
// no answer. The lease may then have run out, and is not used.
func (m *Machine) Adopt(a Adoption, expiry time.Time) (adopted bool) {
	if _, ask := a.TTL(); ask {
		a.own.expiry = expiry
	}
	if !a.own.reserved && a.own.expiry.IsZero() {
		return false
	}
	m.own = a.own
	return true
}

// validSavedLease returns the saved lease of this node if it has not run out.
func (m *Machine) validSavedLease(now time.Time) (l subnet.Lease, valid bool) {
	saved := m.opts.Saved
	if saved == nil || !saved.Expiry.IsZero() && !now.Before(saved.Expiry) {
		return l, false
	}
	l, valid = saved.Lease()
	return l, valid && l.Node.ID == m.self.Node.ID
}
