package etcd

import (
	"time"

	"github.com/podlane/podlane/subnet"
)

// second tells whether a key that we have just created is the second with our public address: another node joined in the
// same moment, and neither saw the other. It is given back, and we join once more; this time the other is there to be
// asked. No obstacle is a lease that we would not ask about again: an older one whose holder was asked and did not answer,
// or one of our own, which no longer fits the network. Nor is a pod subnet given back that our pods may use.
func (s *session) second(own entry, now time.Time) bool {
	if own.pair == s.self.Previous {
		return false
	}
	for _, e := range s.mirror.entries {
		obstacle := e.fault == "" && e.record.Created < own.record.Created && !s.silent(e, now) && !s.left(e) && !s.self.Ours(e.record.Lease)
		if obstacle && sameAddress(e.record.Lease, s.own.lease) {
			return true
		}
	}
	return false
}

// silent tells whether the holder of a lease was asked and has let the time for an answer pass.
func (s *session) silent(e entry, now time.Time) bool {
	asked := s.asking.on(identity).claim(now)
	return asked.Expired && e.record.Modified < asked.Revision
}

// sameAddress tells whether two leases share a public address.
func sameAddress(a, b subnet.Lease) bool {
	for _, f := range subnet.Families {
		if p := a.Endpoint(f).PublicIP; p.IsValid() && p == b.Endpoint(f).PublicIP {
			return true
		}
	}
	return false
}
