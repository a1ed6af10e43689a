package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/bridge"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

func TestSavedStateIsReadBack(t *testing.T) {
	dir := t.TempDir()
	if s, err := loadState(dir, "/p"); err != nil || s.Own != "" {
		t.Errorf("no state: %+v, %v", s, err)
	}
	want := savedState{
		Saved: store.Saved{
			Config: []byte(`{"Network":"10.5.0.0/16"}`), Revision: 7, Own: "10.5.3.0-24",
			Leases: []store.SavedLease{{Key: "10.5.3.0-24", Value: []byte(`{"PublicIP":"198.18.0.1"}`)}},
		},
		Prefix: "/p",
		Until:  newExpiry(time.Now().Add(time.Hour), time.Now()),
		Bridges: []bridge.Bridge{{
			Name: "cni0", Index: 7, Addrs: []netip.Prefix{netip.MustParsePrefix("10.5.3.1/24")}, Cut: []string{"veth1"}, Pods: []string{"10.5.3.2"},
		}},
	}
	if err := want.save(dir); err != nil {
		t.Fatal(err)
	}
	got, err := loadState(dir, "/p")
	if err != nil || got.Own != want.Own || got.Revision != 7 || len(got.Leases) != 1 || string(got.Leases[0].Value) != string(want.Leases[0].Value) {
		t.Errorf("read back %+v, %v", got, err)
	}
	if len(got.Bridges) != 1 || !got.Bridges[0].Equal(want.Bridges[0]) {
		t.Errorf("the bridges read back: %+v", got.Bridges)
	}
	if s, err := loadState(dir, "/typo"); err == nil || !strings.Contains(err.Error(), "etcd prefix /p") || s.store(time.Now()) != nil {
		t.Errorf("under another prefix: %+v, %v", s, err)
	}
	if s, err := loadState(dir, "kubernetes"); err == nil || err.Error() != "it is of the etcd prefix /p: podlaned uses the Kubernetes API now, and starts without it" || s.Own != "" {
		t.Errorf("with another store: %+v, %v", s, err)
	}
	if left, never := got.Until.left(time.Now()); never || left < 59*time.Minute || left > time.Hour {
		t.Errorf("%s left of an hour, never %v", left, never)
	}
	path := filepath.Join(dir, stateName)
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(path, []byte(`{"Own":"10.`), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := loadState(dir, "/p"); err == nil || !strings.Contains(err.Error(), path) || s.Own != "" {
		t.Errorf("truncated file: %+v, %v", s, err)
	}
}

// The leases are written one by one, and read back unchanged.
func TestSavedLeasesAreReadBack(t *testing.T) {
	for _, count := range []int{0, 1, 3} {
		dir, want := t.TempDir(), savedState{Saved: store.Saved{Config: []byte(`{"Network":"10.5.0.0/16"}`)}, Prefix: "/p"}
		for i := range count {
			want.Leases = append(want.Leases, store.SavedLease{
				Key: fmt.Sprintf("10.5.%d.0-24&fd00:5:0:%d::-64", i, i), Value: []byte(`{"PublicIP":"198.18.0.1","Note":"a<b"}`), Lost: i == 1,
			})
		}
		if err := want.save(dir); err != nil {
			t.Fatal(err)
		}
		got, err := loadState(dir, "/p")
		if err != nil || len(got.Leases) != count {
			t.Fatalf("%d leases: read back %+v, %v", count, got, err)
		}
		for i, l := range got.Leases {
			var value, was map[string]string
			if err := errors.Join(json.Unmarshal(l.Value, &value), json.Unmarshal(want.Leases[i].Value, &was)); err != nil {
				t.Fatal(err)
			}
			if l.Key != want.Leases[i].Key || l.Lost != want.Leases[i].Lost || !maps.Equal(value, was) {
				t.Errorf("lease %d of %d: read back %s: %s, lost %v", i, count, l.Key, l.Value, l.Lost)
			}
		}
	}
}

func TestStartFromTheSavedState(t *testing.T) {
	now := time.Now()
	network := parseNetwork(t, `{"Network":"10.5.0.0/16"}`)
	pair := subnet.Pair{IPv4: netip.MustParsePrefix("10.5.3.0/24")}
	own := subnet.Self{Node: subnet.Node{ID: "a", Name: "n1"}, PublicIP: netip.MustParseAddr("198.18.0.1")}.Lease(network, pair, subnet.Lease{})
	valid := savedState{
		Saved: store.Saved{Config: []byte(`{"Network":"10.5.0.0/16"}`), Own: pair.Key(), Leases: []store.SavedLease{{Key: pair.Key(), Value: own.Value()}}},
		Until: newExpiry(now.Add(time.Hour), now),
	}
	expired, changed := valid, valid
	expired.Until = newExpiry(now.Add(-time.Second), now)
	changed.Config = []byte(`{"Network":"10.6.0.0/16"}`)
	noAnswer := errors.New("no answer")
	for name, c := range map[string]struct {
		saved   savedState
		state   store.State
		overdue bool
		used    bool
		fault   string
	}{
		"etcd is unreachable":            {valid, store.State{Err: noAnswer}, false, true, ""},
		"etcd was read and has no lease": {valid, store.State{Err: noAnswer, Set: subnet.Set{Revision: 9}}, true, false, ""},
		"etcd has no error":              {valid, store.State{}, false, false, ""},
		"etcd is overdue":                {valid, store.State{}, true, true, ""},
		"the network has changed since":  {changed, store.State{Err: noAnswer}, false, false, "10.5.3.0/24 is not in the pod network"},
		"the lease has run out":          {expired, store.State{Err: noAnswer}, false, false, "10.5.3.0/24 ran out 1s ago"},
		"no saved state":                 {savedState{}, store.State{Err: noAnswer}, true, false, ""},
	} {
		got, fault := c.saved.fallback(c.state, storeEtcd, c.overdue, now)
		if (fault == nil) != (c.fault == "") || fault != nil && !strings.Contains(fault.Error(), c.fault) {
			t.Errorf("%s: error %v, want %q", name, fault, c.fault)
		}
		if !errors.Is(got.Err, c.state.Err) || got.Held {
			t.Errorf("%s: error of the store %v, want %v; held %v", name, got.Err, c.state.Err, got.Held)
		}
		want := map[bool]subnet.Lease{true: own}[c.used]
		if got.Own != want {
			t.Errorf("%s: own lease %v, want %v", name, got.Own, want)
		}
		if c.used && (got.Network != network || len(got.Set.Records) != 1) {
			t.Errorf("%s: %d leases, network %v", name, len(got.Set.Records), got.Network)
		}
	}
}
