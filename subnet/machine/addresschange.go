package machine

import (
	"slices"
	"time"

	"github.com/podlane/podlane/subnet"
)

// Does the holder of a lease still have the address in it?
//
// A node whose address changes keeps the former one in its lease as long as another lease has the new one. If two nodes swap
// their addresses, each waits for the other. So a live holder answers a claim about an address that it has left. Its answer
// is PREFIX/claims/moved-KEY. KEY is the key of the holder's lease, and the value has the holder's current address. The
// asking node then does not wait. If a holder does not answer, it may be gone, and the node waits for the whole AnswerTime.
//
//	n1, lease 10.5.1.0-24 at A, is now at B          n2, lease 10.5.2.0-24 at B, is now at A
//	claims/n1: who is at B?                    ->    claims/moved-10.5.2.0-24: I am at A
//	its lease has B
//
// An answer counts only if it is younger than the claim and than the holder's lease. A holder that has moved back
// invalidates it by writing its lease. A machine's clone cannot answer for it: a clone has another lease, and so another
// KEY.
//
// An older podlaned does not know such answers. It reads one as a claim by the holder about the new address. If its own
// lease has that address, it writes its lease again. It never gives such an answer, so other nodes wait for it.

// movePrefix is the part of an answer's key before the key of the lease.
const movePrefix = "moved-"

// identityLease returns this node's marks as a lease without pod subnets.
func (m *Machine) identityLease() subnet.Lease {
	return subnet.Lease{
		IPv4: subnet.Endpoint{PublicIP: m.self.PublicIP},
		IPv6: subnet.Endpoint{PublicIP: m.self.PublicIPv6},
		Node: m.self.Node,
	}
}

// mustAnnounceMove reports whether another node asks about an address that our lease has and this node has left. A clone
// that asks gets both answers: our lease is also written again (Mirror.hasClaim).
func (m *Machine) mustAnnounceMove() bool {
	current := m.identityLease()
	for _, c := range m.mirror.claims {
		if c.lease != "" || c.modified <= m.moveAnnounced || c.modified == m.claim.revision {
			continue
		}
		for _, f := range subnet.Families {
			asked := c.from.Endpoint(f).PublicIP
			if asked.IsValid() && asked == m.own.lease.Endpoint(f).PublicIP && asked != current.Endpoint(f).PublicIP {
				return true
			}
		}
	}
	return false
}

// movedHolders returns the leases whose holders have answered that they no longer have any of our addresses.
func (m *Machine) movedHolders() (pairs []subnet.Pair) {
	asked := m.claim.on(identity)
	if asked.revision == 0 {
		return nil
	}
	for _, c := range m.mirror.claims {
		e, found := m.mirror.entries[c.lease]
		if !found || e.fault != "" || c.modified <= max(asked.revision, e.record.Modified) {
			continue
		}
		if sameNode(c.from, e.record.Lease) && !sameAddress(c.from, m.identityLease()) {
			pairs = append(pairs, e.pair)
		}
	}
	return pairs
}

// hasMoved reports whether the holder of a lease has answered that it has other addresses now.
func (m *Machine) hasMoved(e entry) bool { return slices.Contains(m.movedHolders(), e.pair) }

// identityClaim returns our claim about our identity, for subnet.Decide.
func (m *Machine) identityClaim(now time.Time) subnet.Claim {
	c := m.claim.on(identity).decision(now)
	c.Moved = m.movedHolders()
	return c
}
