package machine

import (
	"fmt"
	"time"

	"github.com/podlane/podlane/subnet"
)

// Does another node have our pod subnet, or our new address?

// conflict describes a lease that keeps us from our pod subnet.
func (m *Machine) conflict(other entry) string {
	return fmt.Sprintf("this node's pod subnet %s clashes with the lease %s", m.own.lease.Pair(), other.describe())
}

// yield returns the step of a node that must leave its pod subnet to an older lease. If its pods may use the pod subnet, the
// node also reports a conflict. If it has only just chosen the pod subnet, or found an earlier key of its own, it chooses
// another. A reservation belongs to the operator: it stays.
func (m *Machine) yield(own, rival entry) Step {
	inUse := m.own.established || m.own.lease.Pair() == m.self.Previous
	if inUse {
		m.own.established = true
	}
	if own.record.TTLID == 0 {
		return Step{Verb: Wait, Conflict: m.conflict(rival)}
	}
	st := Step{Verb: GiveBack, Lease: m.own.lease, Record: recordOf(own)}
	if inUse {
		st.Conflict = m.conflict(rival)
	}
	return st
}

// addressHolder returns the oldest lease of another node that has the address to which ours has changed. Two nodes cannot
// share a tunnel address, so our lease keeps the former address until that lease ends. As in a join, its holder is asked:
//   - If it does not answer, it is gone: its lease does not count.
//   - If it has another address, it answers that (addresschange.go): its lease does not count.
//   - flannel answers no claims: its lease counts until it is deleted.
func (m *Machine) addressHolder(now time.Time) (other entry, found bool) {
	updated := m.updatedLease()
	if samePublicIPs(updated, m.own.lease) {
		return entry{}, false
	}
	for _, e := range m.mirror.entries {
		l := e.record.Lease
		flannel := l.Node == (subnet.Node{})
		if e.fault != "" || e.pair == updated.Pair() || !sameAddress(l, updated) || !flannel && (m.didNotAnswer(e, now) || m.hasMoved(e) || m.self.Ours(l)) {
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

// addressConflict returns why the own lease keeps its former address. Empty: it does not.
func (m *Machine) addressConflict(now time.Time) string {
	other, found := m.addressHolder(now)
	if !found {
		return ""
	}
	return fmt.Sprintf("node %s now has the address %s, which is a public address of the lease %s: this node's lease keeps the address %s until that lease ends",
		m.self.Node.Name, m.updatedLease().PublicIP(), other.describe(), m.own.lease.PublicIP())
}

// awaitAddress returns the step of a node whose lease is correct, except for an address that another lease may have.
func (m *Machine) awaitAddress(now time.Time) Step {
	st := Step{Verb: Wait, Conflict: m.addressConflict(now)}
	other, found := m.addressHolder(now)
	switch asked := m.claim.on(identity); {
	case !found, other.record.Node == (subnet.Node{}):
	case asked.revision == 0:
		st.Verb = Ask
	case other.record.Modified > asked.revision:
		st.answer = answered
	default:
		st.answer, st.At = awaited, asked.until
	}
	return st
}
