package machine

import (
	"time"

	"github.com/podlane/podlane/subnet"
)

// lostJoinRace reports whether an older lease has our public address, just after we created our key. Then two nodes joined at
// the same time, and did not see each other. The node gives its key back and joins again: now it can ask the other node.
//
// An older lease does not count in these cases, because the node would not ask about it again:
//   - its holder was asked and did not answer
//   - its holder has another address now
//   - it is our own, and no longer fits the network
//
// A pod subnet that our pods may use is not given back.
func (m *Machine) lostJoinRace(own entry, now time.Time) bool {
	if own.pair == m.self.Previous {
		return false
	}
	for _, e := range m.mirror.entries {
		counts := e.fault == "" && e.record.Created < own.record.Created && !m.didNotAnswer(e, now) && !m.hasMoved(e) && !m.self.Ours(e.record.Lease)
		if counts && sameAddress(e.record.Lease, m.own.lease) {
			return true
		}
	}
	return false
}

// didNotAnswer reports whether the holder of a lease was asked, and the time for its answer is over.
func (m *Machine) didNotAnswer(e entry, now time.Time) bool {
	asked := m.claim.on(identity).decision(now)
	return asked.Expired && e.record.Modified < asked.Revision
}

// sameAddress reports whether two leases share a public address.
func sameAddress(a, b subnet.Lease) bool {
	for _, f := range subnet.Families {
		if p := a.Endpoint(f).PublicIP; p.IsValid() && p == b.Endpoint(f).PublicIP {
			return true
		}
	}
	return false
}
