package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/podlane/podlane/status"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

// summaryOf returns the parts of a status that change with the state of the store.
func summaryOf(s status.Status) map[string]any {
	return map[string]any{
		"ready": s.Ready, "failed checks": failedChecks(s), "problems": s.Problems, "notes": s.Notes, "MTU": s.MTU,
		"lease": status.Join(s.Lease.Subnet), "peers": len(s.Peers), "skipped": s.SkipCount, "named": len(s.Skipped),
	}
}

func TestStatusFollowsTheState(t *testing.T) {
	l, out := newTestLoop(t)
	expect := func(when string, want map[string]any) {
		t.Helper()
		l.publish()
		if diff := gocmp.Diff(want, summaryOf(l.board.get())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	none := []string(nil)
	want := map[string]any{
		"ready": false, "failed checks": []string{"lease", "etcd", "kernel", "node-file"}, "problems": none, "notes": none, "MTU": 0,
		"lease": "-", "peers": 0, "skipped": 0, "named": 0,
	}
	expect("at the start", want)

	l.receive(store.State{Err: errors.New("/p/config: there is no configuration")})
	want["problems"] = []string{"etcd: /p/config: there is no configuration"}
	expect("without a configuration", want)

	state := stateWithPeers(t, l, 2, 3)
	state.Warnings = []string{"network configuration: unknown key"}
	l.receive(state)
	l.receive(state)
	l.backend, l.kernel.verified, l.files.written = fakeBackend{}, time.Now(), true
	want = map[string]any{
		"ready": true, "failed checks": none, "problems": none, "notes": state.Warnings, "MTU": 1450,
		"lease": "10.5.34.0/24", "peers": 2, "skipped": 0, "named": 0,
	}
	expect("with a lease", want)
	if got := strings.Count(out.String(), state.Warnings[0]); got != 1 {
		t.Errorf("the warning is logged %d times, want once", got)
	}

	state.Network.VXLAN.Port = 4789
	state.Set.Skipped, state.Set.Junk = skipList(0, 100), 250
	l.receive(state)
	l.peers.unsupported.set(skipList(100, 150), 50)
	const changed = "the network configuration in etcd has changed: restart podlaned on every node to use it"
	want["notes"], want["skipped"], want["named"] = []string{state.Warnings[0], changed}, 300, subnet.MaxSkips
	expect("with a changed configuration and unusable leases", want)
	if l.network.VXLAN.Port != 8472 {
		t.Errorf("the changed configuration is in use: port %d", l.network.VXLAN.Port)
	}

	state.Held, state.Retained = false, 2
	l.receive(state)
	const lost = "etcd lost data: podlaned keeps 2 peers that are missing from it"
	want["ready"], want["failed checks"], want["notes"] = false, []string{"lease"}, []string{state.Warnings[0], lost, changed}
	expect("with a lost lease", want)
}

func TestPeersArePendingWhileTheOverlayFails(t *testing.T) {
	l, _ := newTestLoop(t)
	l.receive(stateWithPeers(t, l, 2, 3))
	expect := func(when, want string) {
		t.Helper()
		l.publish()
		var got []string
		for _, p := range l.board.get().Peers {
			got = append(got, p.State)
		}
		if diff := gocmp.Diff([]string{want, want}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	expect("before the first reconciliation", status.PeerPending)
	l.kernel.verified = time.Now()
	expect("verified", status.PeerProgrammed)
	l.problems.Check("overlay", errors.New("operation not permitted"))
	expect("the overlay cannot be programmed", status.PeerPending)
}

func TestBridgeNetfilterIsACheckIfItIsConfigured(t *testing.T) {
	const fault = "the kernel module br_netfilter is not loaded"
	for name, c := range map[string]struct {
		configured bool
		problem    string
		want       []status.Check
	}{
		"not configured": {false, "", nil},
		"enabled":        {true, "", []status.Check{{Name: bridgeNetfilter, OK: true}}},
		"not possible":   {true, fault, []status.Check{{Name: bridgeNetfilter, Detail: fault}}},
	} {
		l, _ := newTestLoop(t)
		l.config.bridgeNetfilter = c.configured
		l.problems.Set(bridgeNetfilter, c.problem)
		l.publish()
		got := slices.DeleteFunc(l.board.get().Checks, func(x status.Check) bool { return x.Name != bridgeNetfilter })
		if len(got) == 0 {
			got = nil
		}
		if diff := gocmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
