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
// their addresses, each waits for the other. So a live holder that is asked about an address that it has left answers that
// it has moved: PREFIX/claims/moved-KEY says where the holder of the lease KEY is now. The asker then does not wait. A
// lease that is only silent may be that of a node that is gone, and is waited for as always.
//
//	n1, lease 10.5.1.0-24 at A, is now at B          n2, lease 10.5.2.0-24 at B, is now at A
//	claims/n1: who is at B?                    ->    claims/moved-10.5.2.0-24: I am at A
//	its lease says B
//
// An answer counts only if it is younger than the question and than the holder's lease, so that a holder that has moved back
// contradicts it by writing its lease. An older podlaned takes the answer for a question of the holder about its new
// address, which it answers if it has that; and it does not give such answers, so that it is waited for. It cannot be a
// machine's clone that answers for it: a clone has another lease, and so another KEY.

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

// mustTell reports whether another node asks about an address that our lease has and this node has left. A clone that asks is
// also told, by our lease, that we live.
func (s *session) mustTell() bool {
	now := s.leaseless()
	for _, c := range s.mirror.claims {
		if c.lease != "" || c.modified <= s.told || c.modified == s.asking.revision {
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

// tell answers such a question. The answer lasts as long as a question does.
func (r *runner) tell(ctx context.Context) error {
	key := r.session.own.key()
	revision, _, err := r.putClaims(ctx, claimText{r.store.prefix + "/" + claims + moved + key, movedValue(r.session.self, key)})
	if err == nil {
		r.session.told = revision
	}
	return err
}

// movedHolders returns the leases whose holders have answered our question that they have none of our addresses any more.
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

// left reports whether the holder of a lease is one of them.
func (s *session) left(e entry) bool { return slices.Contains(s.movedHolders(), e.pair) }

// claim returns our question about our identity, as subnet.Decide sees it.
func (s *session) claim(now time.Time) subnet.Claim {
	c := s.asking.on(identity).claim(now)
	c.Moved = s.movedHolders()
	return c
}
