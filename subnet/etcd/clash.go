package etcd

import (
	"fmt"
	"time"

	"github.com/podlane/podlane/subnet"
)

// clash is the oldest lease of another node with a public address that ours has changed to while we hold a lease. Two nodes
// cannot share a tunnel address, so it is not written as long as that lease lives: as when we join, its holder is asked,
// and one that is silent is gone and its address is recycled. A live one that has left the address answers that (moved.go).
// flannel answers no questions, so that its leases live until they are gone.
func (s *session) clash(now time.Time) (other entry, found bool) {
	moved := s.changed()
	if samePublicIPs(moved, s.own.lease) {
		return entry{}, false
	}
	for _, e := range s.mirror.entries {
		l := e.record.Lease
		flannel := l.Node == (subnet.Node{})
		if e.fault != "" || e.pair == moved.Pair() || !sameAddress(l, moved) || !flannel && (s.silent(e, now) || s.left(e) || s.self.Ours(l)) {
			continue
		}
		if !found || e.record.Created < other.record.Created {
			other, found = e, true
		}
	}
	return other, found
}

func samePublicIPs(a, b subnet.Lease) bool {
	return a.IPv4.PublicIP == b.IPv4.PublicIP && a.IPv6.PublicIP == b.IPv6.PublicIP
}

// unmoved says why the own lease does not follow an address; empty: it does.
func (s *session) unmoved(now time.Time) string {
	other, clash := s.clash(now)
	if !clash {
		return ""
	}
	return fmt.Sprintf("node %s has moved to %s, which is a public address of the lease %s: as long as that one lives, this node's lease stays at %s",
		s.self.Node.Name, s.changed().PublicIP(), other.describe(), s.own.lease.PublicIP())
}

// stand waits with a lease that is as it should be, but for an address that clashes.
func (s *session) stand(now time.Time) step {
	st := step{verb: wait, conflict: s.unmoved(now)}
	other, clash := s.clash(now)
	switch asked := s.asking.on(identity); {
	case !clash, other.record.Node == (subnet.Node{}):
	case asked.revision == 0:
		st.verb = ask
	case other.record.Modified > asked.revision:
		st.question = refused
	default:
		st.question, st.at = awaited, asked.until
	}
	return st
}
