package problems

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// fixture is a Log with a clock that only the test moves.
type fixture struct {
	*Log
	now time.Time
	out strings.Builder
}

func newFixture() *fixture {
	f := &fixture{now: noon}
	log := logrus.New()
	log.SetOutput(&f.out)
	log.SetFormatter(&logrus.TextFormatter{DisableTimestamp: true, DisableQuote: true})
	f.Log = New(log)
	f.Log.now = func() time.Time { return f.now }
	return f
}

// expectLogged expects exactly these lines, each "level text", since the last call.
func (f *fixture) expectLogged(t *testing.T, when string, want ...string) {
	t.Helper()
	var got []string
	for line := range strings.Lines(f.out.String()) {
		level, text, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "level="), " msg=")
		got = append(got, level+" "+text)
	}
	f.out.Reset()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: log (-want +got):\n%s", when, diff)
	}
}

func (f *fixture) expectList(t *testing.T, when string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, f.List()); diff != "" {
		t.Errorf("%s: list (-want +got):\n%s", when, diff)
	}
}

func TestProblemAndRecoveryAreLoggedOnce(t *testing.T) {
	f := newFixture()
	for range 3 {
		if f.Check("etcd", errors.New("no answer")) {
			t.Error("Check reports no problem, with an error")
		}
	}
	f.Check("etcd", errors.New("still no answer"))
	f.Set("lease", "conflict")
	f.expectLogged(t, "while they last", "warning etcd: no answer", "warning lease: conflict")
	f.expectList(t, "while they last", "etcd: still no answer", "lease: conflict")
	f.Set("lease", "")
	for range 2 {
		if !f.Check("etcd", nil) {
			t.Error("Check reports a problem, without an error")
		}
	}
	f.expectLogged(t, "before recoveryTime")
	f.now = f.now.Add(recoveryTime)
	f.LogRecovered()
	f.expectLogged(t, "after recoveryTime", "info etcd: recovered; it was: still no answer", "info lease: recovered; it was: conflict")
	f.expectList(t, "after recoveryTime")
}

func TestSeveralProblemsOfOneKind(t *testing.T) {
	f := newFixture()
	f.SetAll("other firewalls", []string{"a drops", "b drops"})
	f.SetAll("other firewalls", []string{"b drops", "c drops"})
	f.expectLogged(t, "with three texts", "warning other firewalls: a drops", "warning other firewalls: b drops", "warning other firewalls: c drops")
	f.expectList(t, "with two texts", "other firewalls: b drops", "other firewalls: c drops")
	f.SetAll("other firewalls", nil)
	f.now = f.now.Add(recoveryTime)
	f.LogRecovered()
	f.expectLogged(t, "after recoveryTime", "info other firewalls: recovered; it was: b drops; c drops")
	f.expectList(t, "after recoveryTime")
}

// States that alternate are one problem in the log. The list always has the current state.
func TestAlternatingProblemIsLoggedOnce(t *testing.T) {
	f := newFixture()
	for range 100 {
		f.Set("etcd", "write refused")
		f.SetAll("kernel", []string{"a", "b"})
		f.now = f.now.Add(recoveryTime / 6)
		f.Set("etcd", "")
		f.SetAll("kernel", []string{"b"})
		f.expectList(t, "without the problem of etcd", "kernel: b")
		if got := f.Get("etcd"); got != "" {
			t.Fatalf("etcd: got %q, want no problem", got)
		}
		f.now = f.now.Add(recoveryTime / 6)
	}
	f.SetAll("kernel", nil)
	f.expectLogged(t, "while they alternate", "warning etcd: write refused", "warning kernel: a", "warning kernel: b")
	f.now = f.now.Add(recoveryTime)
	if f.LogRecovered() != nil {
		t.Error("a recovery is still due")
	}
	f.expectLogged(t, "after recoveryTime", "info etcd: recovered; it was: write refused", "info kernel: recovered; it was: b")
	f.Set("etcd", "write refused")
	f.expectLogged(t, "after the recovery", "warning etcd: write refused")
	f.Set("etcd", "")
	if f.LogRecovered() == nil {
		t.Error("no recovery is due")
	}
	f.Close()
	f.expectLogged(t, "at the end", "info etcd: recovered; it was: write refused")
}

// A cause replaces another one.
func TestAnotherTextIsLoggedOnceItHasLasted(t *testing.T) {
	f := newFixture()
	f.Set("store", "not connected")
	f.expectLogged(t, "at the start", "warning store: not connected")
	f.now = f.now.Add(2 * time.Second)
	f.Set("store", "no podCIDR")
	f.now = f.now.Add(9 * time.Second)
	f.Set("store", "no podCIDR")
	f.expectLogged(t, "after 9 s")
	f.now = f.now.Add(time.Second)
	f.LogRecovered()
	f.expectLogged(t, "after 10 s", "warning store: no podCIDR")
	f.Set("store", "not connected")
	for range 30 {
		f.now = f.now.Add(time.Second)
		f.Set("store", "not connected")
	}
	f.expectLogged(t, "a text that was logged before")
}

// The new text contains the time, and is different in each attempt.
func TestTextWithNumbersIsLoggedOnceItHasLasted(t *testing.T) {
	f := newFixture()
	f.Set("store", "no answer")
	for range 20 {
		f.now = f.now.Add(3 * time.Second)
		f.Set("store", "wrong token; this node's clock shows "+f.now.Format(time.TimeOnly))
	}
	f.expectLogged(t, "after a minute", "warning store: no answer", "warning store: wrong token; this node's clock shows 12:00:15")
	f.expectList(t, "after a minute", "store: wrong token; this node's clock shows 12:01:00")
}

func TestNumberOfTextsThatAreLoggedIsBounded(t *testing.T) {
	f := newFixture()
	for i := range 20 {
		f.Set("store", "cause "+string(rune('a'+i)))
		f.now = f.now.Add(lastingTime)
		f.LogRecovered()
	}
	if got := strings.Count(f.out.String(), "level=warning"); got != maxLogged {
		t.Errorf("%d lines, want %d", got, maxLogged)
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
	type step struct {
		after time.Duration
		texts string // one letter each
		added string
		over  time.Duration // after this step; 0: the problem exists
	}
	for name, steps := range map[string][]step{
		"it stays": {{0, "a", "a", 0}, {recoveryTime, "a", "", 0}, {2 * recoveryTime, "a", "", 0}},
		"it ends":  {{0, "a", "a", 0}, {time.Second, "", "", recoveryTime}},
		"it is absent for less than recoveryTime": {{0, "a", "a", 0}, {recoveryTime, "", "", recoveryTime}, {recoveryTime - 1, "a", "", 0}, {1, "", "", recoveryTime}},
		"its end is checked again":                {{0, "a", "a", 0}, {time.Second, "", "", recoveryTime}, {time.Second, "", "", recoveryTime - time.Second}},
		"another text comes":                      {{0, "a", "a", 0}, {time.Second, "ab", "b", 0}, {time.Second, "b", "", 0}, {time.Second, "ab", "", 0}},
		"a text comes again after a day":          {{0, "ab", "ab", 0}, {time.Second, "b", "", 0}, {24 * time.Hour, "ab", "a", 0}},
	} {
		var s episode
		now := noon
		for i, l := range steps {
			now = now.Add(l.after)
			added := strings.Join(s.record(strings.Split(l.texts, "")[:len(l.texts)], now), "")
			over := s.overAt()
			if added != l.added {
				t.Errorf("%s: step %d: new texts %q, want %q", name, i, added, l.added)
			}
			if want := now.Add(l.over); l.over == 0 && !over.IsZero() || l.over != 0 && !over.Equal(want) {
				t.Errorf("%s: step %d: over at %v, want %v (zero: not yet)", name, i, over, want)
			}
		}
	}
}
