package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/pause"
	"github.com/podlane/podlane/status"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

// The node file refuses new pods for the reasons of /readyz/attach. Its text stays the same while the reason lasts.
func TestReasonsToRefusePods(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		change func(l *loop)
		want   string
	}{
		"none":                {func(*loop) {}, ""},
		"valid lease":         {func(l *loop) { l.state.Expiry = now.Add(time.Second) }, ""},
		"etcd is unreachable": {func(l *loop) { l.state.Held = false; l.problems.Set("etcd", "no answer") }, ""},
		"conflict":            {func(l *loop) { l.state.Conflict = "n7 has it too" }, "n7 has it too"},
		"lease ran out":       {func(l *loop) { l.state.Expiry = now }, "the lease of 10.5.34.0/24 ran out at 2026-11-30 12:00:00 UTC: another node may lease the pod subnet"},
		"kernel":              {func(l *loop) { l.problems.Set("firewall", "no such table") }, "this node's part of the overlay is incomplete: no such table"},
	} {
		l, _ := newTestLoop(t)
		l.receive(stateWithPeers(t, l))
		c.change(l)
		l.publish()
		s := l.board.get()
		s.Verified, s.NodeFile = now, true
		got := l.notReady(now)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if attach := status.AllHold(s.AttachChecks(now)); attach != (got == "") {
			t.Errorf("%s: /readyz/attach holds: %v, but the node file has %q", name, attach, got)
		}
	}
}

// A podlaned without a lease refuses pods in the node file of the earlier run. It gives the store time to answer first.
func TestNodeFileOfAnEarlierRun(t *testing.T) {
	l, out := newTestLoop(t)
	path := filepath.Join(l.config.runDir, nodeFile)
	l.refusePods()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a node file was made: %v", err)
	}
	l.receive(stateWithPeers(t, l))
	l.backend = fakeBackend{}
	l.writeNodeFiles()
	now := time.Now()
	next := newLoop(l.daemon, l.underlay.iface, savedState{Saved: l.state.Save(), Prefix: "/p", Until: newExpiry(now.Add(-time.Hour), now)})
	ctx, cancel := context.WithTimeout(t.Context(), maxStoreSilence+20*time.Second)
	defer cancel()
	states, answer := make(chan store.State, 1), stateWithPeers(t, l)
	go func() { // the store answers when the node file refuses pods
		for pause.For(ctx, time.Millisecond) {
			if file, err := subnet.ReadNodeFile(path); err == nil && strings.Contains(file.NotReady, "no valid lease") {
				states <- answer
				return
			}
		}
	}()
	if err := next.awaitLease(ctx, states); err != nil {
		t.Fatalf("pods are attached without a lease: %v: %s", err, out)
	}
	if took := time.Since(now); took < maxStoreSilence {
		t.Errorf("pods are refused after %v, before the store had time to answer", took)
	}
	next.backend = fakeBackend{}
	next.receive(stateWithPeers(t, l))
	next.writeNodeFiles()
	if file, err := subnet.ReadNodeFile(path); err != nil || file.NotReady != "" {
		t.Errorf("with a lease again: not ready for %q, %v", file.NotReady, err)
	}
}

// A node runs on its saved lease, which then runs out. The store sends no state for that.
func TestSavedLeaseRunsOutWhileItIsInUse(t *testing.T) {
	l, _ := newTestLoop(t)
	now := time.Now()
	l.stateFile.loaded = savedState{Saved: stateWithPeers(t, l).Save(), Prefix: "/p", Until: newExpiry(now.Add(time.Hour), now)}
	unreachable := store.State{Err: errors.New("no answer")}
	l.receive(unreachable)
	l.backend = fakeBackend{}
	if got := l.notReady(now); got != "" {
		t.Errorf("pods are refused while the lease is valid: %q", got)
	}
	l.stateFile.loaded.Until = newExpiry(now.Add(-time.Second), now)
	l.receive(unreachable)
	if got := l.notReady(now.Add(2 * time.Hour)); !strings.Contains(got, "ran out") {
		t.Errorf("after the lease has run out: %q; own lease %v until %v", got, l.state.Own, l.state.Expiry)
	}
}

func TestReconcileWhenTheLeaseRunsOut(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		expiry time.Time
		want   time.Duration
	}{
		"in an hour":  {now.Add(time.Hour), time.Hour},
		"at once":     {now.Add(time.Millisecond), minInterval},
		"it has":      {now.Add(-time.Second), 0},
		"reservation": {time.Time{}, 0},
	} {
		if got := expiresIn(c.expiry, now); got != c.want {
			t.Errorf("%s: in %v, want %v", name, got, c.want)
		}
	}
}
