package etcd

import (
	"strings"
	"testing"

	"github.com/podlane/podlane/subnet"
)

// leaseOf writes the lease of a node that does not run.
func leaseOf(etcd *server, s subnet.Self, key string) subnet.Lease {
	etcd.t.Helper()
	network, _, err := subnet.ParseNetwork([]byte(ipv4Config))
	if err != nil {
		etcd.t.Fatal(err)
	}
	pair, err := subnet.ParseKey(key)
	if err != nil {
		etcd.t.Fatal(err)
	}
	l := s.Lease(network, pair, subnet.Lease{})
	etcd.put(subnets+key, string(l.Value()))
	return l
}

func TestAddressOfALiveNodeIsRefused(t *testing.T) {
	etcd, first, s := holder(t, quick(1))
	opts := quick(2)
	opts.Self.PublicIP = self(1).PublicIP
	text := run(t, etcd.open(t), opts).fails(t, ErrRefused)
	for _, word := range []string{"n1", "n2", self(1).PublicIP.String()} {
		if !strings.Contains(text, word) {
			t.Errorf("%q does not name %s", text, word)
		}
	}
	if now := first.held(t); now.Own != s.Own {
		t.Errorf("the first node's lease is now %v", now.Own)
	}
	if c := etcd.keys(claims); len(c) != 0 {
		t.Errorf("claims %v are left behind", c)
	}
}

func TestRefusedWithSavedStateGoesOnAsking(t *testing.T) {
	etcd, first, s := holder(t, quick(1))
	saved := s.Save()
	saved.Own, saved.Leases = "", nil
	opts := quick(2)
	opts.Self.PublicIP, opts.Saved = self(1).PublicIP, &saved
	n := run(t, etcd.open(t), opts)
	n.wait(t, "refusal", func(s State) bool { return strings.Contains(s.Conflict, "n1") && s.Err != nil })
	first.stop(t)
	if now := n.held(t); now.Own.Pair() != s.Own.Pair() || now.Own.Node.Name != "n2" {
		t.Errorf("own %v, want %v taken over", now.Own, s.Own)
	}
}

func TestRecycledAddressIsTakenOver(t *testing.T) {
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	gone := self(1)
	gone.PublicIP = self(2).PublicIP
	old := leaseOf(etcd, gone, "10.5.50.0-24")
	s := run(t, etcd.open(t), quick(2)).held(t)
	if s.Own.Pair() != old.Pair() || len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "n1") {
		t.Errorf("own %v, warnings %q", s.Own, s.Warnings)
	}
	eventually(t, "claim taken back", func() bool { return len(etcd.keys(claims)) == 0 })
	if l := etcd.keys(subnets); len(l) != 1 {
		t.Errorf("leases %v", l)
	}
}

func TestClonedMachineGetsAFreshSubnet(t *testing.T) {
	etcd, first, s := holder(t, quick(1))
	opts := quick(2)
	opts.Self.Node.ID = self(1).Node.ID
	clone := run(t, etcd.open(t), opts).held(t)
	if clone.Own.Pair().Overlaps(s.Own.Pair()) {
		t.Errorf("the clone's %v overlaps %v", clone.Own, s.Own)
	}
	if len(clone.Warnings) != 1 || !strings.Contains(clone.Warnings[0], "n1") || !strings.Contains(clone.Warnings[0], "n2") {
		t.Errorf("warnings %q, want both named", clone.Warnings)
	}
	if now := first.held(t); now.Own != s.Own {
		t.Errorf("the first node's lease is now %v", now.Own)
	}
	eventually(t, "claim taken back", func() bool { return len(etcd.keys(claims)) == 0 })
}

func TestTwoNodesWithTheAddressOfAGoneNode(t *testing.T) {
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	gone := self(1)
	leaseOf(etcd, gone, "10.5.50.0-24")
	a, b := quick(2), quick(3)
	a.Self.PublicIP, b.Self.PublicIP = gone.PublicIP, gone.PublicIP
	first, second := run(t, etcd.open(t), a), run(t, etcd.open(t), b)
	select { // one of them wins, the other is refused
	case <-first.ended:
		first, second = second, first
	case <-second.ended:
	}
	second.fails(t, ErrRefused)
	first.held(t)
}

func TestJunkClaims(t *testing.T) {
	etcd, n, _ := holder(t, quick(1))
	before := etcd.keys(subnets)
	for _, value := range []string{"", "{", `{"PublicIP":"x"}`, `[]`, strings.Repeat("x", 5000), `{"NodeID":"somebody"}`} {
		etcd.put(claims+"x", value)
	}
	leaseOf(etcd, self(9), "10.5.50.0-24") // the node has seen all of them when it sees this one
	n.wait(t, "peer", func(s State) bool { return len(s.Set.Records) == 2 && held(s) })
	for key, r := range before {
		if etcd.keys(subnets)[key] != r {
			t.Error("a claim that does not concern the node was answered")
		}
	}
}
