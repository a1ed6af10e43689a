package main

import (
	"context"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/podlane/podlane/subnet/store"
)

func TestIdleReturnsWhatCame(t *testing.T) {
	tick := func() <-chan time.Time {
		c := make(chan time.Time, 1)
		c <- time.Time{}
		return c
	}
	states, kernel := make(chan store.State, 1), newKicks()
	states <- store.State{Lists: 7}
	kernel.kick()
	for name, c := range map[string]struct {
		from sources
		kind eventKind
		want int // the number in the state
	}{
		"state":            {sources{states: states}, stateReceived, 7},
		"kernel":           {sources{kernel: kernel}, kernelChanged, 0},
		"timer":            {sources{timer: tick()}, timeout, 0},
		"beat":             {sources{beats: tick()}, beatDue, 0},
		"file":             {sources{files: tick()}, filesDue, 0},
		"end of a problem": {sources{recovered: tick()}, recoveryDue, 0},
	} {
		got := idle(t.Context(), c.from)
		if got.kind != c.kind || got.state.Lists != c.want {
			t.Errorf("%s: kind %d with state %d, want kind %d with state %d", name, got.kind, got.state.Lists, c.kind, c.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := idle(ctx, sources{}); got.kind != contextEnded {
		t.Errorf("after the end of the context: kind %d", got.kind)
	}
}

// Only what may concern the kernel leads to a reconciliation.
func TestEventsThatCauseReconciliation(t *testing.T) {
	l, _ := newTestLoop(t)
	first := stateWithPeers(t, l, 2)
	l.receive(first)
	l.backend = fakeBackend{}
	got := map[string]bool{}
	for name, e := range map[string]event{
		"same state":       {stateReceived, first},
		"kernel":           {kind: kernelChanged},
		"timer":            {kind: timeout},
		"beat":             {kind: beatDue},
		"file":             {kind: filesDue},
		"end of a problem": {kind: recoveryDue},
	} {
		l.underlay.readAt = time.Now().Add(time.Hour)
		got[name] = l.apply(e)
		if readNow := l.underlay.readAt.IsZero(); readNow != got[name] {
			t.Errorf("%s: interfaces are read at once: %v, want %v", name, readNow, got[name])
		}
	}
	l.underlay.readAt = time.Now().Add(time.Hour)
	if got["another peer"] = l.apply(event{stateReceived, stateWithPeers(t, l, 2, 3)}); l.underlay.readAt.IsZero() {
		t.Error("another peer: the interfaces are read again")
	}
	want := map[string]bool{
		"same state": false, "another peer": true, "kernel": true, "timer": true, "beat": false, "file": false, "end of a problem": false,
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("events that cause a reconciliation (-want +got):\n%s", diff)
	}
}
