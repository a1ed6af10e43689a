package etcd

import (
	"fmt"
	"time"

	"github.com/podlane/podlane/subnet"
)

// How no half of a key is ever handed out twice.
//
// "Create if absent" protects a key, but two different keys can share a half: dual-stack nodes choose the halves apart
// from each other, flannel nodes may be IPv4-only, and SubnetLen may have been changed. So a key that was created is
// not yet a lease. It becomes one when the mirror is complete up to the revision of its creation and holds no older key
// that shares an address with it; else it is given back, by compare-and-swap, and the node chooses again from the set
// that it now knows. Of two overlapping keys the younger one's creator always sees the older, for revisions order all
// writes; so never are both leases. The oldest of any number of rivals never gives way, so somebody always gets on.
// Guard keys for each half would need the same etcd lease, the same repair and the same clean-up as the leases, and
// flannel writes none; a comparison "nothing was created since" lets only one of a thousand joining nodes through at a
// time. This way only true collisions cost a second try. It costs a read of what is new (catchUp) at the start, and no call
// later: the watch brings our own key back, in the order of the revisions.
//
// A key that no node can use is not a rival (subnet.Network.Blocks). All nodes decide that by the same network
// configuration: a key is created only if the configuration is still the one by which the node chose. For a pod subnet that
// a changed configuration no longer has, the one that it was chosen by decides too.
//
// After a restore of etcd a node may take its pod subnet back from leases of the snapshot (restored.go). Under its own key
// it overwrites the other node's lease, and the key's age does not change. Older keys that overlap it are deleted in the
// transaction that creates its own. Both are compare-and-swaps: a lease whose holder has answered is not taken back. A key
// that was created since then overlaps none of the deleted ones, or is younger. One that overlaps only the other half of
// ours is older, and wins.

// keep decides how the own lease is held, given what stands under its key.
func (s *session) keep(now time.Time) step {
	e, present := s.mirrored()
	if present && e.fault == "" && e.record.Lease == s.own.tried {
		s.own.lease = s.own.tried
	}
	if present && e.record.Modified > s.own.modified && e.record.TTLID == 0 && e.fault == "" && !s.foreign(e) {
		s.own.reserved = true // an operator took it off its etcd lease
	}
	rival, contested := s.mirror.rival(s.own.lease.Pair())
	switch {
	case !s.own.established && (!present || s.foreign(e)):
		s.abandon()
		return s.join(now)
	case !present && contested:
		return s.contend(rival, now)
	case !present:
		return step{verb: create, lease: s.desired(now), reserved: s.own.reserved, conflict: s.unmoved(now)}
	case s.foreign(e):
		return s.contend(e, now)
	case contested && rival.record.Created < e.record.Created:
		return s.yield(e, rival)
	case !s.own.established && s.second(e, now):
		return step{verb: giveBack, lease: s.own.lease, record: stored(e)}
	case s.outdated(e, now), s.mirror.unanswered(s.self, s.asking.revision, e.record.Modified):
		return step{verb: write, lease: s.desired(now), record: stored(e), reserved: s.own.reserved, conflict: s.unmoved(now)}
	case s.mustAnnounceMove():
		return step{verb: announceMove, conflict: s.unmoved(now)}
	case !s.settled(e):
		return step{verb: wait}
	}
	s.own.established, s.own.modified, s.snapshot = true, e.record.Modified, 0
	return s.stand(now)
}

// settled tells whether every key that is older than the own one would be seen.
func (s *session) settled(own entry) bool { return s.mirror.revision >= own.record.Created }

// held tells whether the own key is ours beyond doubt.
func (s *session) held() bool {
	e, present := s.mirrored()
	if !present || !s.own.established || s.foreign(e) || !s.settled(e) {
		return false
	}
	rival, contested := s.mirror.rival(e.pair)
	return !contested || rival.record.Created > e.record.Created
}

// mirrored is what stands under the own key.
func (s *session) mirrored() (e entry, present bool) {
	if s.mirror == nil || s.own.lease == (subnet.Lease{}) {
		return entry{}, false
	}
	e, present = s.mirror.entries[s.own.key()]
	return e, present
}

// yield gives way to an older lease. A node whose pods may already use the pod subnet says so; one that only just chose
// it, or that finds such a leftover of its own, chooses another. A reservation is the operator's: it stays.
func (s *session) yield(own, rival entry) step {
	inUse := s.own.established || s.own.lease.Pair() == s.self.Previous
	if inUse {
		s.own.established = true
	}
	if own.record.TTLID == 0 {
		return step{verb: wait, conflict: s.conflict(rival)}
	}
	st := step{verb: giveBack, lease: s.own.lease, record: stored(own)}
	if inUse {
		st.conflict = s.conflict(rival)
	}
	return st
}

// changed is the own lease as we are now. It keeps its VNI when the configuration's changes: the device keeps it until
// podlaned is started anew, and peers take no lease of another VNI than theirs.
func (s *session) changed() subnet.Lease {
	n, own := s.network, s.own.lease
	n.VXLAN.VNI = max(own.IPv4.VNI, own.IPv6.VNI)
	return s.self.Lease(n, own.Pair(), own)
}

// desired is the own lease as it should stand. It keeps its public addresses where the new ones clash.
func (s *session) desired(now time.Time) subnet.Lease {
	l := s.changed()
	if _, clash := s.clash(now); clash {
		l.IPv4.PublicIP, l.IPv6.PublicIP = s.own.lease.IPv4.PublicIP, s.own.lease.IPv6.PublicIP
	}
	return l
}

// outdated tells whether the own entry must be written again: what it says, or the etcd lease it hangs on.
func (s *session) outdated(e entry, now time.Time) bool {
	ttl := e.record.TTLID == s.own.ttl && s.own.ttl != 0 || e.record.TTLID == 0 && s.own.reserved
	return e.fault != "" || e.record.Lease != s.desired(now) || !ttl
}

// foreign tells whether another node stands under our key. An entry that cannot be read is nobody's: we hold the key.
// One with our node id but an address we never wrote is another machine with our identity; if it is older than our last
// write it is what we wrote before, from a backup.
func (s *session) foreign(e entry) bool {
	l, own := e.record.Lease, s.own.lease
	if e.fault != "" || l == own || e.record.Modified <= s.own.modified && sameNode(l, own) {
		return false
	}
	return !sameNode(l, own) || l.PublicIP() != own.PublicIP()
}

// sameNode tells whether two leases under one key are of one node. flannel writes no identity but the address.
func sameNode(a, b subnet.Lease) bool {
	if a.Node == (subnet.Node{}) || b.Node == (subnet.Node{}) {
		return a.PublicIP() == b.PublicIP()
	}
	return a.Node.ID == b.Node.ID && (a.Node.ID != "" || a.Node.Name == b.Node.Name)
}

func (s *session) conflict(other entry) string {
	return fmt.Sprintf("this node's pod subnet %s clashes with the lease %s", s.own.lease.Pair(), other.describe())
}

// stored is the entry's record with its pair, also where its value is not a lease.
func stored(e entry) subnet.Record {
	r := e.record
	r.IPv4.Subnet, r.IPv6.Subnet = e.pair.IPv4, e.pair.IPv6
	return r
}
