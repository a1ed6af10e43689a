package status

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEachCheckGoesFalseAndTrueAgain(t *testing.T) {
	for _, c := range []struct {
		name, check, words string
		spoil              func(*Status)
	}{
		{"the underlay cannot carry the overlay", "underlay", "no address", func(s *Status) { s.Underlay.Trouble = "no address" }},
		{"no lease yet", "lease", "none yet", func(s *Status) { s.Lease.Subnet = nil }},
		{"the own key is gone", "lease", "is missing from etcd; restoring it", func(s *Status) { s.Lease.Held = false }},
		{"the lease ran out", "lease", "ran out 1s ago", func(s *Status) { s.Lease.Expiry = noon.Add(-time.Second) }},
		{"etcd is away", "etcd", "no answer", func(s *Status) { s.Etcd.Trouble = "no answer" }},
		{"etcd never answered", "etcd", "not answered yet", func(s *Status) { s.Etcd.Seen = time.Time{} }},
		{"etcd is silent", "etcd", "its last answer was 1m31s ago", func(s *Status) { s.Etcd.Seen = noon.Add(-maxSilence - time.Second) }},
		{"before the first pass", "kernel", "the kernel is not verified yet", func(s *Status) { s.Verified = time.Time{} }},
		{"a pass fails", "kernel", "no such device", func(s *Status) { s.Trouble = "overlay: no such device" }},
		{"passes hang", "kernel", "the kernel was last verified 1m31s ago", func(s *Status) { s.Verified = noon.Add(-91 * time.Second) }},
		{"no node file", "node-file", "not written", func(s *Status) { s.NodeFile = false }},
		{"conflict", "conflict", "n7 has it", func(s *Status) { s.Lease.Conflict = "n7 has it" }},
		{"the own key is another node's", "conflict", "n7 has it", func(s *Status) { s.Lease.Held, s.Lease.Conflict = false, "n7 has it" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := wellStatus()
			s.Checks = s.ReadyChecks(noon)
			if f := failing(s); len(f) > 0 {
				t.Errorf("all is well, and these fail: %q", f)
			}
			c.spoil(&s)
			s.Checks = s.ReadyChecks(noon)
			i := slices.IndexFunc(s.Checks, func(x Check) bool { return x.Name == c.check })
			if !slices.Equal(failing(s), []string{c.check}) || !strings.Contains(s.Checks[i].Detail, c.words) {
				t.Errorf("%+v, want %s alone to fail with %q", s.Checks, c.check, c.words)
			}
		})
	}
}

// Pods are attached while the store is away or refuses writes: only the node's own faults stop them.
func TestAttachNeedsNeitherStoreNorPeers(t *testing.T) {
	for name, c := range map[string]struct {
		failing []string
		spoil   func(*Status)
	}{
		"everything works":          {nil, func(*Status) {}},
		"the underlay has no route": {nil, func(s *Status) { s.Underlay.Trouble = "no address" }},
		"etcd is away":              {nil, func(s *Status) { s.Etcd.Trouble, s.Etcd.Seen = "no answer", time.Time{} }},
		"the lease is a saved one":  {nil, func(s *Status) { s.Lease.Held = false }},
		"the lease has run out":     {[]string{"lease"}, func(s *Status) { s.Lease.Expiry = noon.Add(-time.Second) }},
		"no lease yet":              {[]string{"lease"}, func(s *Status) { s.Lease.Subnet = nil }},
		"a pass fails":              {[]string{"kernel"}, func(s *Status) { s.Trouble = "overlay: no such device" }},
		"no node file":              {[]string{"node-file"}, func(s *Status) { s.NodeFile = false }},
		"conflict":                  {[]string{"conflict"}, func(s *Status) { s.Lease.Conflict = "n7 has it" }},
	} {
		s := wellStatus()
		c.spoil(&s)
		s.Checks = s.AttachChecks(noon)
		if !slices.Equal(failing(s), c.failing) {
			t.Errorf("%s: %q fail, want %q", name, failing(s), c.failing)
		}
	}
}

// podlaned knows whether the lease is missing from etcd only after etcd has answered.
func TestSavedLeaseIsNotReportedMissing(t *testing.T) {
	s := wellStatus()
	s.Lease.Held, s.Etcd.Seen = false, time.Time{}
	if got := s.leaseFault(noon); !strings.Contains(got, "comes from the saved state; etcd has not confirmed it yet") {
		t.Errorf("%q", got)
	}
}

func TestReservationNeverRunsOut(t *testing.T) {
	s := wellStatus()
	s.Lease.Expiry = time.Time{}
	if s.Checks = s.ReadyChecks(noon); len(failing(s)) > 0 {
		t.Errorf("%q", failing(s))
	}
}

// failing names the checks that do not hold.
func failing(s Status) (names []string) {
	for _, c := range s.Checks {
		if !c.OK {
			names = append(names, c.Name)
		}
	}
	return names
}
