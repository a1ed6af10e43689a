package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/subnet/store"
)

// Whether etcd has answered is in the status. It is not a reason to reconcile.
func TestAnswersOfTheStoreArePublished(t *testing.T) {
	l, _ := newReadyLoop(t, 2)
	state := stateWithPeers(t, l, 2)
	states, done := make(chan store.State), make(chan bool, 1)
	go func() { done <- l.wait(t.Context(), states, nil, time.Hour) }()
	send := func(s store.State) {
		t.Helper()
		select {
		case states <- s:
		case <-done:
			t.Fatal("an answer without a change causes a reconciliation")
		}
	}
	state.Seen = state.Seen.Add(time.Second).Round(0) // in wall time, as in the status
	send(state)
	state.Err = errors.New("no answer")
	send(state)
	send(stateWithPeers(t, l, 2, 3))
	if work := <-done; !work {
		t.Error("another peer does not cause a reconciliation")
	}
	s := l.board.get()
	if !s.Etcd.Seen.Equal(state.Seen) {
		t.Errorf("etcd answered %v, want %v", s.Etcd.Seen, state.Seen)
	}
	if s.Ready {
		t.Error("the node is ready although etcd does not answer")
	}
	if len(s.Peers) != 1 {
		t.Errorf("%d peers are published before the reconciliation, want 1", len(s.Peers))
	}
}

// The node keeps its pod subnet. Another one in the store is a problem until it is gone.
func TestStoreHasAnotherPodSubnet(t *testing.T) {
	l, _ := newReadyLoop(t, 2)
	own := l.state.Own
	for _, c := range []struct {
		name    string
		state   store.State
		ready   bool
		problem string
		peers   int
	}{
		{"another pod subnet", withOwnSubnet(stateWithPeers(t, l, 2, 3), l.underlay.self, "10.5.77.0/24"), false, "but its pods use 10.5.34.0/24", 2},
		{"the own one again", stateWithPeers(t, l, 2), true, "", 1},
	} {
		l.receive(c.state)
		l.publish()
		s := l.board.get()
		if l.state.Own != own {
			t.Errorf("%s: own lease %v, want %v", c.name, l.state.Own, own)
		}
		if s.Ready != c.ready {
			t.Errorf("%s: ready is %v, want %v", c.name, s.Ready, c.ready)
		}
		if problems := strings.Join(s.Problems, " "); (problems == "") != (c.problem == "") || !strings.Contains(problems, c.problem) {
			t.Errorf("%s: problems %q, want %q", c.name, problems, c.problem)
		}
		if len(s.Peers) != c.peers {
			t.Errorf("%s: %d peers, want %d", c.name, len(s.Peers), c.peers)
		}
	}
}

// A store that hangs returns no error until a call's deadline. The saved state is used before that. It is no problem yet: the log
// must begin with the cause.
func TestStoreHangsAtTheStart(t *testing.T) {
	l, out := newTestLoop(t)
	state := stateWithPeers(t, l, 2)
	now := time.Now()
	l.stateFile.loaded = savedState{Saved: state.Save(), Prefix: "/p", Until: newExpiry(now.Add(time.Hour), now)}
	if err := l.awaitLease(t.Context(), make(chan store.State)); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(now); took < maxStoreSilence || took > maxStoreSilence+time.Second {
		t.Errorf("the saved state is used after %v, want %v", took, maxStoreSilence)
	}
	if l.state.Own != state.Own {
		t.Errorf("own lease %v, want %v", l.state.Own, state.Own)
	}
	if len(l.peers.leases) != 1 {
		t.Errorf("%d peers, want 1", len(l.peers.leases))
	}
	if list := l.problems.List(); len(list) > 0 || strings.Contains(out.String(), "warning") {
		t.Errorf("problems %q, log\n%s", list, out)
	}
	l.receive(store.State{Err: errors.New("connection refused")})
	if !strings.Contains(out.String(), "etcd: connection refused") || l.state.Own != state.Own {
		t.Errorf("own lease %v, log\n%s", l.state.Own, out)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	l, _ := newTestLoop(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if l.wait(ctx, nil, nil, time.Hour) {
		t.Error("the end of the context causes a reconciliation")
	}
}

func TestEarliest(t *testing.T) {
	for name, c := range map[string]struct {
		others []time.Duration
		want   time.Duration
	}{
		"nothing else": {nil, 30 * time.Second},
		"not due":      {[]time.Duration{0, 0}, 30 * time.Second},
		"sooner":       {[]time.Duration{0, 2 * time.Second, time.Second}, time.Second},
		"later":        {[]time.Duration{time.Minute}, 30 * time.Second},
	} {
		if got := earliest(30*time.Second, c.others...); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
