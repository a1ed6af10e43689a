package problems

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
)

// clocked returns a Log whose clock only pass moves, and what it logged.
func clocked() (tr *Log, out *strings.Builder, pass func(time.Duration)) {
	out = &strings.Builder{}
	log := logrus.New()
	log.SetOutput(out)
	tr, now := New(log), noon
	tr.now = func() time.Time { return now }
	return tr, out, func(d time.Duration) { now = now.Add(d) }
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func TestProblemAndItsEndAreLoggedOnce(t *testing.T) {
	tr, out, pass := clocked()
	for range 3 {
		if tr.Check("etcd", errors.New("no answer")) {
			t.Error("an error is no trouble")
		}
	}
	tr.Check("etcd", errors.New("still no answer"))
	tr.Set("lease", "conflict")
	if got := tr.List(); !slices.Equal(got, []string{"etcd: still no answer", "lease: conflict"}) {
		t.Errorf("list: %q", got)
	}
	tr.Set("lease", "")
	for range 2 {
		if !tr.Check("etcd", nil) {
			t.Error("no error is trouble")
		}
	}
	pass(recoveryTime)
	tr.LogRecovered()
	if got := strings.Count(out.String(), "\n"); got != 4 || len(tr.List()) != 0 {
		t.Errorf("want each trouble and each end once, have %d lines and %q left:\n%s", got, tr.List(), out.String())
	}
}

func TestSeveralProblemsOfOneKind(t *testing.T) {
	tr, out, pass := clocked()
	tr.SetAll("other firewalls", []string{"a drops", "b drops"})
	tr.SetAll("other firewalls", []string{"b drops", "c drops"})
	if got := tr.List(); !slices.Equal(got, []string{"other firewalls: b drops", "other firewalls: c drops"}) {
		t.Errorf("list: %q", got)
	}
	tr.SetAll("other firewalls", nil)
	pass(recoveryTime)
	tr.LogRecovered()
	if got := strings.Count(out.String(), "\n"); got != 4 || len(tr.List()) != 0 {
		t.Errorf("want each text and the end once, have %d lines and %q left:\n%s", got, tr.List(), out.String())
	}
}

// States that alternate are one problem in the log. The list always shows the current state.
func TestProblemThatComesAndGoesIsLoggedOnce(t *testing.T) {
	tr, out, pass := clocked()
	for range 100 {
		tr.Set("etcd", "write refused")
		tr.SetAll("kernel", []string{"a", "b"})
		pass(recoveryTime / 6)
		tr.Set("etcd", "")
		tr.SetAll("kernel", []string{"b"})
		if got := tr.List(); !slices.Equal(got, []string{"kernel: b"}) || tr.Get("etcd") != "" {
			t.Fatalf("list: %q", got)
		}
		pass(recoveryTime / 6)
	}
	tr.SetAll("kernel", nil)
	if got := strings.Count(out.String(), "\n"); got != 3 {
		t.Errorf("%d lines while it comes and goes, want three:\n%s", got, out)
	}
	pass(recoveryTime)
	if tr.LogRecovered() != nil {
		t.Error("an end is due and is not logged")
	}
	for _, want := range []string{"etcd: recovered; it was: write refused", "kernel: recovered; it was: b"} {
		if got := strings.Count(out.String(), want); got != 1 {
			t.Errorf("%d times %q, want once:\n%s", got, want, out)
		}
	}
	tr.Set("etcd", "write refused")
	if got := strings.Count(out.String(), "\n"); got != 6 {
		t.Errorf("it comes again after its end: %d lines, want six:\n%s", got, out)
	}
	tr.Set("etcd", "")
	if tr.LogRecovered() == nil {
		t.Error("nobody waits for the end")
	}
	tr.Close()
	if got := strings.Count(out.String(), "\n"); got != 7 {
		t.Errorf("the daemon ends: %d lines, want seven:\n%s", got, out)
	}
}

// A command without a loop uses Run.
func TestRunLogsRecoveries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &strings.Builder{}
		log := logrus.New()
		log.SetOutput(out)
		l := New(log)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := make(chan error)
		go func() { ended <- l.Run(ctx) }()
		l.Set("etcd", "no answer")
		l.Set("etcd", "")
		<-time.After(2 * recoveryTime)
		synctest.Wait()
		if got := strings.Count(out.String(), "etcd: recovered"); got != 1 {
			t.Errorf("%d recoveries of etcd, want 1:\n%s", got, out)
		}
		l.Set("API server", "no answer")
		l.Set("API server", "")
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if got := strings.Count(out.String(), "API server: recovered"); got != 1 {
			t.Errorf("%d recoveries of the API server at the end, want 1:\n%s", got, out)
		}
	})
}

func TestEpisode(t *testing.T) {
	type look struct {
		after time.Duration
		texts string // one letter each
		news  string
		over  time.Duration // after this step; 0: the problem exists
	}
	for name, looks := range map[string][]look{
		"it stays":                              {{0, "a", "a", 0}, {recoveryTime, "a", "", 0}, {2 * recoveryTime, "a", "", 0}},
		"it ends":                               {{0, "a", "a", 0}, {time.Second, "", "", recoveryTime}},
		"it is away for less than recoveryTime": {{0, "a", "a", 0}, {recoveryTime, "", "", recoveryTime}, {recoveryTime - 1, "a", "", 0}, {1, "", "", recoveryTime}},
		"its end is checked again":              {{0, "a", "a", 0}, {time.Second, "", "", recoveryTime}, {time.Second, "", "", recoveryTime - time.Second}},
		"another text comes":                    {{0, "a", "a", 0}, {time.Second, "ab", "b", 0}, {time.Second, "b", "", 0}, {time.Second, "ab", "", 0}},
		"a text comes again after a day":        {{0, "ab", "ab", 0}, {time.Second, "b", "", 0}, {24 * time.Hour, "ab", "a", 0}},
	} {
		var s episode
		now := noon
		for i, l := range looks {
			now = now.Add(l.after)
			news := strings.Join(s.see(strings.Split(l.texts, "")[:len(l.texts)], now), "")
			over := s.overAt()
			if news != l.news || over.IsZero() != (l.over == 0) || l.over != 0 && over.Sub(now) != l.over {
				t.Errorf("%s: look %d: news %q, over in %v; want %q, %v", name, i, news, over.Sub(now), l.news, l.over)
			}
		}
	}
}
