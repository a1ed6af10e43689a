package main

import (
	"io"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

func TestWhichStatesNeedWork(t *testing.T) {
	l, _ := newTestLoop(t)
	before := stateWithPeers(t, l, 2)
	for name, c := range map[string]struct {
		change func(*store.State)
		want   bool
	}{
		"the same":                   {func(*store.State) {}, false},
		"the store answered":         {func(s *store.State) { s.Seen = s.Seen.Add(time.Second) }, false},
		"the store is unreachable":   {func(s *store.State) { s.Err, s.Watching = io.EOF, false }, false},
		"listed again":               {func(s *store.State) { s.Lists++ }, false},
		"a warning":                  {func(s *store.State) { s.Warnings = []string{"unknown key"} }, false},
		"another revision":           {func(s *store.State) { s.Set.Revision++ }, true},
		"another peer":               {func(s *store.State) { s.Set.Records = stateWithPeers(t, l, 2, 3).Set.Records }, true},
		"a lease that is unreadable": {func(s *store.State) { s.Set.Junk++ }, true},
		"own lease renewed":          {func(s *store.State) { s.Expiry = time.Now() }, true},
		"own lease lost":             {func(s *store.State) { s.Held = false }, true},
		"conflict":                   {func(s *store.State) { s.Conflict = "n7 has it too" }, true},
		"another configuration":      {func(s *store.State) { s.Config = []byte(`{"Network":"10.6.0.0/16"}`) }, true},
	} {
		after := before
		c.change(&after)
		if got := needsWork(before, after); got != c.want {
			t.Errorf("%s: needs work is %v, want %v", name, got, c.want)
		}
	}
}

func TestPodSubnetIsKeptWhilePodsRun(t *testing.T) {
	l, _ := newTestLoop(t)
	before := stateWithPeers(t, l, 2)
	before.Expiry = time.Now().Add(time.Hour)
	other := withOwnSubnet(stateWithPeers(t, l, 2, 3), l.underlay.self, "10.5.77.0/24")
	read := stateWithPeers(t, l, 2, 3)
	read.Own, read.Held = subnet.Lease{}, true
	same := stateWithPeers(t, l, 2, 3)
	type answer struct {
		Held     bool
		Expiry   time.Time
		Records  int
		Conflict string
	}
	for name, c := range map[string]struct {
		state store.State
		want  answer
	}{
		"the store was never read":      {store.State{}, answer{Expiry: before.Expiry, Records: 2}},
		"the store has no lease for us": {read, answer{Expiry: before.Expiry, Records: 3}},
		"the store has our lease":       {same, answer{Held: true, Records: 3}},
		"the store has another lease":   {other, answer{Records: 3, Conflict: "etcd has the pod subnet 10.5.77.0/24 for this node, but its pods use 10.5.34.0/24: drain the node, run `podlaned cleanup`, and start podlaned again"}},
	} {
		got := keepOwnSubnet(before, c.state, storeEtcd)
		if got.Own != before.Own {
			t.Errorf("%s: the own lease is %v, want %v", name, got.Own, before.Own)
		}
		if diff := gocmp.Diff(c.want, answer{got.Held, got.Expiry, len(got.Set.Records), got.Conflict}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
