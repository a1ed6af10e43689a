package machine

import (
	"time"

	"github.com/podlane/podlane/subnet"
)

// How does the node hold its lease, so that no half of a key ever has two owners?
//
// "Create if absent" protects a key, but two keys can share a half:
//   - dual-stack nodes choose the two halves independently
//   - flannel nodes may be IPv4-only
//   - SubnetLen may have been changed
//
// So a created key is not yet a lease. It becomes one when the mirror is complete up to its creation and has no older key that
// overlaps it. Otherwise the node gives it back by compare-and-swap, and chooses again. Of two overlapping keys, the creator
// of the younger one always sees the older one, because revisions order all writes. So at most one becomes a lease. The oldest
// of several rivals never gives way, so one node always succeeds.
//
// Rejected designs:
//   - A guard key for each half needs the same etcd lease, repair and clean-up as the leases, and flannel writes none.
//   - The comparison "nothing was created since" lets only one of a thousand joining nodes through at a time.
//
// Here only a true overlap costs a second attempt. The price is one read of what is new at the start (CatchUp). Later there is
// no call: the watch brings our own key back, in the order of revisions.
//
// A key that no node can use is not a rival (subnet.Network.Blocks). All nodes decide that by the same network configuration.
// A key is created only if the configuration is still the one by which the node chose. If a changed configuration no longer
// has a pod subnet, the one by which it was chosen decides too.
//
// After a restore of etcd a node may take its pod subnet back from leases of the snapshot (snapshot.go). Under its own key it
// overwrites the other node's lease, and the key's age does not change. The transaction that creates its own key deletes
// older keys that overlap it. Both are compare-and-swaps: a lease whose holder has answered is not taken back. A key that was
// created since then overlaps none of the deleted ones, or is younger. A key that overlaps only the other half of ours is
// older, and wins.

// hold decides how the own lease is held, given the entry under its key.
func (m *Machine) hold(now time.Time) Step {
	e, present := m.ownEntry()
	if present && e.fault == "" && e.record.Lease == m.own.tried {
		m.own.lease = m.own.tried
	}
	if present && e.record.Modified > m.own.modified && e.record.TTLID == 0 && e.fault == "" && !m.foreign(e) {
		m.own.reserved = true // an operator removed its etcd lease
	}
	rival, contested := m.mirror.rival(m.own.lease.Pair())
	switch {
	case !m.own.established && (!present || m.foreign(e)):
		m.own = ownLease{}
		return m.join(now)
	case !present && contested:
		return m.contest(rival, now)
	case !present:
		return Step{Verb: Create, Lease: m.desired(now), Reserved: m.own.reserved, Conflict: m.addressConflict(now)}
	case m.foreign(e):
		return m.contest(e, now)
	case contested && rival.record.Created < e.record.Created:
		return m.yield(e, rival)
	case !m.own.established && m.lostJoinRace(e, now):
		return Step{Verb: GiveBack, Lease: m.own.lease, Record: recordOf(e)}
	case m.outdated(e, now), m.mirror.hasClaim(m.self, m.claim.revision, e.record.Modified):
		return Step{Verb: Write, Lease: m.desired(now), Record: recordOf(e), Reserved: m.own.reserved, Conflict: m.addressConflict(now)}
	case m.mustAnnounceMove():
		return Step{Verb: AnnounceMove, Conflict: m.addressConflict(now)}
	case !m.knowsOlder(e):
		return Step{Verb: Wait}
	}
	m.own.established, m.own.modified, m.snapshot = true, e.record.Modified, 0
	return m.awaitAddress(now)
}

// knowsOlder reports whether the mirror has every key that is older than the own one.
func (m *Machine) knowsOlder(own entry) bool { return m.mirror.revision >= own.record.Created }

// holds reports whether the own key is certainly ours.
func (m *Machine) holds() bool {
	e, present := m.ownEntry()
	if !present || !m.own.established || m.foreign(e) || !m.knowsOlder(e) {
		return false
	}
	rival, contested := m.mirror.rival(e.pair)
	return !contested || rival.record.Created > e.record.Created
}

// ownEntry returns the entry under the own key.
func (m *Machine) ownEntry() (e entry, present bool) {
	if m.mirror == nil || m.own.lease == (subnet.Lease{}) {
		return entry{}, false
	}
	e, present = m.mirror.entries[m.own.key()]
	return e, present
}

// updatedLease returns the own lease with the node's current identity. It keeps its VNI if that of the configuration changes:
// the device also keeps it until podlaned is restarted. Peers ignore a lease with another VNI than theirs.
func (m *Machine) updatedLease() subnet.Lease {
	n, own := m.network, m.own.lease
	n.VXLAN.VNI = max(own.IPv4.VNI, own.IPv6.VNI)
	return m.self.Lease(n, own.Pair(), own)
}

// desired returns the lease that the store must have for this node. It keeps its public addresses if another lease has the new
// ones.
func (m *Machine) desired(now time.Time) subnet.Lease {
	l := m.updatedLease()
	if _, found := m.addressHolder(now); found {
		l.IPv4.PublicIP, l.IPv6.PublicIP = m.own.lease.IPv4.PublicIP, m.own.lease.IPv6.PublicIP
	}
	return l
}

// outdated reports whether the own entry must be written again: its value or its time to live is not the desired one.
func (m *Machine) outdated(e entry, now time.Time) bool {
	ttl := e.record.TTLID == m.own.ttlID && m.own.ttlID != 0 || e.record.TTLID == 0 && m.own.reserved
	return e.fault != "" || e.record.Lease != m.desired(now) || !ttl
}

// foreign reports whether our key has the lease of another node:
//   - An entry that cannot be read belongs to no node: we hold the key.
//   - One with our node id and an address that we never wrote is of another machine with our identity.
//   - The same, but older than our last write, is what we wrote before, from a backup.
func (m *Machine) foreign(e entry) bool {
	l, own := e.record.Lease, m.own.lease
	if e.fault != "" || l == own || e.record.Modified <= m.own.modified && sameNode(l, own) {
		return false
	}
	return !sameNode(l, own) || l.PublicIP() != own.PublicIP()
}

// sameNode reports whether two leases under one key are of one node. flannel writes no identity but the address.
func sameNode(a, b subnet.Lease) bool {
	if a.Node == (subnet.Node{}) || b.Node == (subnet.Node{}) {
		return a.PublicIP() == b.PublicIP()
	}
	return a.Node.ID == b.Node.ID && (a.Node.ID != "" || a.Node.Name == b.Node.Name)
}
