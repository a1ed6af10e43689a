package etcd

import (
	"context"
	"slices"
	"time"

	"github.com/podlane/podlane/subnet"
)

// Does the holder of a lease still have the address in it?
//
// A node whose address changes keeps the old one in its lease as long as another lease has the new one. If two nodes swap
// their addresses, each waits for the other. So a live holder answers a question about an address that it has left:
// PREFIX/claims/moved-KEY has the current address of the holder of the lease KEY. The asking node then does not wait. If a
// holder does not answer, it may be gone, and the node waits as always.
//
//	n1, lease 10.5.1.0-24 at A, is now at B          n2, lease 10.5.2.0-24 at B, is now at A
//	claims/n1: who is at B?                    ->    claims/moved-10.5.2.0-24: I am at A
//	its lease has B
//
// An answer counts only if it is younger than the question and than the holder's lease. A holder that has moved back
// invalidates it by writing its lease. An older podlaned reads the answer as the holder's question about its new address,
// and answers that if it has the address. It does not give such answers itself, so other nodes wait for it. A machine's
// clone cannot answer for it: a clone has another lease, and so another KEY.

// moved is the part of a claim's key before the key of the lease.
const moved = "moved-"

// leaseless returns this node's marks as a lease without pod subnets.
func (s *session) leaseless() subnet.Lease {
	return subnet.Lease{
		IPv4: subnet.Endpoint{PublicIP: s.self.PublicIP},
		IPv6: subnet.Endpoint{PublicIP: s.self.PublicIPv6},
		Node: s.self.Node,
	}
}

// mustAnnounceMove reports whether another node asks about an address that our lease has and this node has left. If a clone
// asks, our lease also shows it that we are alive.
func (s *session) mustAnnounceMove() bool {
	now := s.leaseless()
	for _, c := range s.mirror.claims {
		if c.lease != "" || c.modified <= s.moveAnnounced || c.modified == s.asking.revision {
			continue
		}
		for _, f := range subnet.Families {
			asked := c.from.Endpoint(f).PublicIP
			if asked.IsValid() && asked == s.own.lease.Endpoint(f).PublicIP && asked != now.Endpoint(f).PublicIP {
				return true
			}
		}
	}
	return false
}

// announceMove answers such a question. The answer lasts as long as a question does.
func (r *runner) announceMove(ctx context.Context) error {
	key := r.session.own.key()
	revision, _, err := r.putClaims(ctx, claimText{r.store.prefix + "/" + claims + moved + key, movedValue(r.session.self, key)})
	if err == nil {
		r.session.moveAnnounced = revision
	}
	return err
}

// movedHolders returns the leases whose holders have answered that they no longer have any of our addresses.
func (s *session) movedHolders() (pairs []subnet.Pair) {
	asked := s.asking.on(identity)
	if asked.revision == 0 {
		return nil
	}
	for _, c := range s.mirror.claims {
		e, found := s.mirror.entries[c.lease]
		if !found || e.fault != "" || c.modified <= max(asked.revision, e.record.Modified) {
			continue
		}
		if sameNode(c.from, e.record.Lease) && !sameAddress(c.from, s.leaseless()) {
			pairs = append(pairs, e.pair)
		}
	}
	return pairs
}

// left reports whether the holder of a lease has answered so.
func (s *session) left(e entry) bool { return slices.Contains(s.movedHolders(), e.pair) }

// claim returns our question about our identity, for subnet.Decide.
func (s *session) claim(now time.Time) subnet.Claim {
	c := s.asking.on(identity).claim(now)
	c.Moved = s.movedHolders()
	return c
}
