package etcd

import (
	"time"

	"github.com/podlane/podlane/subnet"
)

// second tells whether a key that we have just created is the second with our public address: another node joined in the
// same moment, and neither saw the other. It is given back, and we join once more; this time the other is there to be
// asked. An older lease whose holder was asked and did not answer is no obstacle, and a pod subnet that our pods may use
// is not given back.
func (s *session) second(own entry, now time.Time) bool {
	if own.pair == s.self.Previous {
		return false
	}
	asked := s.asking.claim(now)
	for _, e := range s.mirror.entries {
		silent := asked.Expired && e.record.Modified < asked.Revision
		if e.fault == "" && e.record.Created < own.record.Created && !silent && sameAddress(e.record.Lease, s.own.lease) {
			return true
		}
	}
	return false
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
