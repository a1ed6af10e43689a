package status

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEachCheckCanFail(t *testing.T) {
	for _, c := range []struct {
		name, check, words string
		spoil              func(*Status)
	}{
		{"the underlay cannot carry the overlay", "underlay", "no address", func(s *Status) { s.Underlay.Trouble = "no address" }},
		{"no lease yet", "lease", "none yet", func(s *Status) { s.Lease.Subnet = nil }},
		{"the own lease is missing from etcd", "lease", "is missing from etcd; restoring it", func(s *Status) { s.Lease.Held = false }},
		{"the lease ran out", "lease", "ran out 1s ago", func(s *Status) { s.Lease.Expiry = noon.Add(-time.Second) }},
		{"etcd does not answer", "etcd", "no answer", func(s *Status) { s.Etcd.Trouble = "no answer" }},
		{"etcd never answered", "etcd", "not answered yet", func(s *Status) { s.Etcd.Seen = time.Time{} }},
		{"etcd is silent", "etcd", "its last answer was 1m31s ago", func(s *Status) { s.Etcd.Seen = noon.Add(-maxSilence - time.Second) }},
		{"before the first reconcile", "kernel", "the kernel is not verified yet", func(s *Status) { s.Verified = time.Time{} }},
		{"a reconcile fails", "kernel", "no such device", func(s *Status) { s.Trouble = "overlay: no such device" }},
		{"the loop hangs", "kernel", "the kernel was last verified 1m31s ago", func(s *Status) { s.Verified = noon.Add(-91 * time.Second) }},
		{"no node file", "node-file", "not written", func(s *Status) { s.NodeFile = false }},
		{"conflict", "conflict", "n7 has it", func(s *Status) { s.Lease.Conflict = "n7 has it" }},
		{"another node has the own lease", "conflict", "n7 has it", func(s *Status) { s.Lease.Held, s.Lease.Conflict = false, "n7 has it" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := readyStatus()
			if failed := failures(s.ReadyChecks(noon)); len(failed) > 0 {
				t.Errorf("without a problem these fail: %q", failed)
			}
			c.spoil(&s)
			failed := failures(s.ReadyChecks(noon))
			if diff := cmp.Diff([]string{c.check}, slices.Sorted(maps.Keys(failed))); diff != "" {
				t.Errorf("failed checks (-want +got):\n%s", diff)
			}
			if detail := failed[c.check]; !strings.Contains(detail, c.words) {
				t.Errorf("%s: got %q, want %q in it", c.check, detail, c.words)
			}
		})
	}
}

// inKubernetes returns the status of a node with the Kubernetes store.
func inKubernetes() Status {
	s := readyStatus()
	s.Store, s.Etcd, s.Lease.Expiry = StoreKubernetes, nil, time.Time{}
	s.Kubernetes = &Kubernetes{Connected: true, Feeder: "podlane-kube v1", Seen: noon.Add(-3 * time.Second), Revision: 7, Watching: true}
	return s
}

func TestChecksOfTheKubernetesStore(t *testing.T) {
	for _, c := range []struct {
		check, want string
		spoil       func(*Status)
	}{
		{"kubernetes", "podlane-kube is not connected", func(s *Status) { s.Kubernetes.Trouble = "podlane-kube is not connected" }},
		{"kubernetes", "it has not answered yet", func(s *Status) { s.Kubernetes.Seen = time.Time{} }},
		{"kubernetes", "its last answer was 1m31s ago", func(s *Status) { s.Kubernetes.Seen = noon.Add(-maxSilence - time.Second) }},
		{"lease", "10.5.34.0/24 is missing from the annotations of this node's Node; podlane-kube writes it there", func(s *Status) { s.Lease.Held = false }},
	} {
		s := inKubernetes()
		if failed := failures(s.ReadyChecks(noon)); len(failed) > 0 {
			t.Errorf("without a problem these fail: %q", failed)
		}
		c.spoil(&s)
		if failed := failures(s.ReadyChecks(noon)); len(failed) != 1 || failed[c.check] != c.want {
			t.Errorf("failed checks %q, want %s: %q", failed, c.check, c.want)
		}
		if failed := failures(s.AttachChecks(noon)); len(failed) > 0 {
			t.Errorf("these attach checks fail: %q", failed)
		}
	}
	s := inKubernetes()
	s.Lease.Held, s.Kubernetes.Seen = false, time.Time{}
	if got, want := s.leaseFault(noon), "10.5.34.0/24 comes from the saved state; the Kubernetes API has not confirmed it yet"; got != want {
		t.Errorf("a saved lease: %q, want %q", got, want)
	}
}

// Only the node's own faults stop the attachment of pods.
func TestAttachChecksDoNotDependOnEtcd(t *testing.T) {
	for name, c := range map[string]struct {
		failing []string
		spoil   func(*Status)
	}{
		"no problem":                        {nil, func(*Status) {}},
		"the underlay has no route":         {nil, func(s *Status) { s.Underlay.Trouble = "no address" }},
		"etcd does not answer":              {nil, func(s *Status) { s.Etcd.Trouble, s.Etcd.Seen = "no answer", time.Time{} }},
		"the lease is from the saved state": {nil, func(s *Status) { s.Lease.Held = false }},
		"the lease has run out":             {[]string{"lease"}, func(s *Status) { s.Lease.Expiry = noon.Add(-time.Second) }},
		"no lease yet":                      {[]string{"lease"}, func(s *Status) { s.Lease.Subnet = nil }},
		"a reconcile fails":                 {[]string{"kernel"}, func(s *Status) { s.Trouble = "overlay: no such device" }},
		"no node file":                      {[]string{"node-file"}, func(s *Status) { s.NodeFile = false }},
		"conflict":                          {[]string{"conflict"}, func(s *Status) { s.Lease.Conflict = "n7 has it" }},
	} {
		s := readyStatus()
		c.spoil(&s)
		if diff := cmp.Diff(c.failing, slices.Sorted(maps.Keys(failures(s.AttachChecks(noon))))); diff != "" {
			t.Errorf("%s: failed checks (-want +got):\n%s", name, diff)
		}
	}
}

// podlaned knows whether the lease is missing from etcd only after etcd has answered.
func TestSavedLeaseIsNotReportedMissing(t *testing.T) {
	s := readyStatus()
	s.Lease.Held, s.Etcd.Seen = false, time.Time{}
	if got := s.leaseFault(noon); !strings.Contains(got, "comes from the saved state; etcd has not confirmed it yet") {
		t.Errorf("got %q, want that the lease comes from the saved state", got)
	}
}

func TestReservationNeverExpires(t *testing.T) {
	s := readyStatus()
	s.Lease.Expiry = time.Time{}
	if failed := failures(s.ReadyChecks(noon)); len(failed) > 0 {
		t.Errorf("these checks fail: %q", failed)
	}
}

// failures returns the details of the checks that do not hold, by their names.
func failures(checks []Check) map[string]string {
	failed := map[string]string{}
	for _, c := range checks {
		if !c.OK {
			failed[c.Name] = c.Detail
		}
	}
	return failed
}
