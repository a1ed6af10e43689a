package main

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEachCheckGoesFalseAndTrueAgain(t *testing.T) {
	for _, c := range []struct {
		name, check, words string
		spoil              func(*status)
	}{
		{"the underlay cannot carry the overlay", "underlay", "no address", func(s *status) { s.Underlay.Trouble = "no address" }},
		{"no lease yet", "lease", "none yet", func(s *status) { s.Lease.Subnet = nil }},
		{"the own key is gone", "lease", "is missing from etcd; restoring it", func(s *status) { s.Lease.Held = false }},
		{"the lease ran out", "lease", "ran out 1s ago", func(s *status) { s.Lease.Expiry = noon.Add(-time.Second) }},
		{"etcd is away", "etcd", "no answer", func(s *status) { s.Etcd.Trouble = "no answer" }},
		{"etcd never answered", "etcd", "not answered yet", func(s *status) { s.Etcd.Seen = time.Time{} }},
		{"etcd is silent", "etcd", "1m31s ago for the last time", func(s *status) { s.Etcd.Seen = noon.Add(-lately - time.Second) }},
		{"before the first pass", "kernel", "no verified pass", func(s *status) { s.Verified = time.Time{} }},
		{"a pass fails", "kernel", "no such device", func(s *status) { s.Trouble = "overlay: no such device" }},
		{"passes hang", "kernel", "the last verified pass was 1m31s ago", func(s *status) { s.Verified = noon.Add(-91 * time.Second) }},
		{"no node file", "node-file", "not written", func(s *status) { s.NodeFile = false }},
		{"conflict", "conflict", "n7 has it", func(s *status) { s.Lease.Conflict = "n7 has it" }},
		{"the own key is another node's", "conflict", "n7 has it", func(s *status) { s.Lease.Held, s.Lease.Conflict = false, "n7 has it" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := wellStatus()
			s.Checks = s.judge(noon)
			if f := failedChecks(s); len(f) > 0 {
				t.Errorf("all is well, and these fail: %q", f)
			}
			c.spoil(&s)
			s.Checks = s.judge(noon)
			i := slices.IndexFunc(s.Checks, func(x check) bool { return x.Name == c.check })
			if !slices.Equal(failedChecks(s), []string{c.check}) || !strings.Contains(s.Checks[i].Detail, c.words) {
				t.Errorf("%+v, want %s alone to fail with %q", s.Checks, c.check, c.words)
			}
		})
	}
}

// Pods are attached while the store is away or refuses writes: only the node's own faults stop them.
func TestAttachNeedsNeitherStoreNorPeers(t *testing.T) {
	for name, c := range map[string]struct {
		failing []string
		spoil   func(*status)
	}{
		"everything works":          {nil, func(*status) {}},
		"the underlay has no route": {nil, func(s *status) { s.Underlay.Trouble = "no address" }},
		"etcd is away":              {nil, func(s *status) { s.Etcd.Trouble, s.Etcd.Seen = "no answer", time.Time{} }},
		"the lease is a saved one":  {nil, func(s *status) { s.Lease.Held = false }},
		"the lease has run out":     {[]string{"lease"}, func(s *status) { s.Lease.Expiry = noon.Add(-time.Second) }},
		"no lease yet":              {[]string{"lease"}, func(s *status) { s.Lease.Subnet = nil }},
		"a pass fails":              {[]string{"kernel"}, func(s *status) { s.Trouble = "overlay: no such device" }},
		"no node file":              {[]string{"node-file"}, func(s *status) { s.NodeFile = false }},
		"conflict":                  {[]string{"conflict"}, func(s *status) { s.Lease.Conflict = "n7 has it" }},
	} {
		s := wellStatus()
		c.spoil(&s)
		s.Checks = s.judgeAttach(noon)
		if !slices.Equal(failedChecks(s), c.failing) {
			t.Errorf("%s: %q fail, want %q", name, failedChecks(s), c.failing)
		}
	}
}

// podlaned knows whether the lease is missing from etcd only after etcd has answered.
func TestSavedLeaseIsNotReportedMissing(t *testing.T) {
	s := wellStatus()
	s.Lease.Held, s.Etcd.Seen = false, time.Time{}
	if got := s.leaseFault(noon); !strings.Contains(got, "is the saved one; etcd has not confirmed it yet") {
		t.Errorf("%q", got)
	}
}

func TestReservationNeverRunsOut(t *testing.T) {
	s := wellStatus()
	s.Lease.Expiry = time.Time{}
	if s.Checks = s.judge(noon); len(failedChecks(s)) > 0 {
		t.Errorf("%q", failedChecks(s))
	}
}

func TestAnswersOfReadyz(t *testing.T) {
	well, bad, away := freshStatus(), freshStatus(), freshStatus()
	bad.NodeFile = false
	away.Etcd.Trouble = "no answer"
	for _, c := range []struct {
		status status
		path   string
		code   int
		body   string
	}{
		{well, "/readyz", 200, "ready\n"},
		{well, "/readyz?verbose", 200, "[+] underlay: ok\n[+] lease: ok\n[+] etcd: ok\n[+] kernel: ok\n[+] node-file: ok\n[+] conflict: ok\nready\n"},
		{bad, "/readyz", 503, "[+] underlay: ok\n[+] lease: ok\n[+] etcd: ok\n[+] kernel: ok\n[-] node-file: not written yet\n[+] conflict: ok\nnot ready\n"},
		{away, "/readyz/attach", 200, "ready\n"},
		{away, "/readyz/attach?verbose", 200, "[+] lease: ok\n[+] kernel: ok\n[+] node-file: ok\n[+] conflict: ok\nready\n"},
		{bad, "/readyz/attach", 503, "[+] lease: ok\n[+] kernel: ok\n[-] node-file: not written yet\n[+] conflict: ok\nnot ready\n"},
	} {
		b := &board{}
		b.set(c.status)
		w := httptest.NewRecorder()
		handler(b, http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, c.path, nil))
		if w.Code != c.code || w.Body.String() != c.body {
			t.Errorf("%s: %d %s", c.path, w.Code, w.Body)
		}
	}
}

func TestStuckLoopIsNotHealthy(t *testing.T) {
	for idle, code := range map[time.Duration]int{0: 200, stuck: 200, stuck + time.Second: 503} {
		w := httptest.NewRecorder()
		answerHealth(idle, w)
		if w.Code != code {
			t.Errorf("after %v: %d %s", idle, w.Code, w.Body)
		}
	}
}
