package main

import (
	"net/netip"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/podlane/podlane/firewall"
	"github.com/podlane/podlane/subnet"
)

// Nodes are restarted one after the other: some use direct routing before or after this one.
func TestPlainPacketsAreAcceptedFromPeersWithDirectRouting(t *testing.T) {
	for name, c := range map[string]struct {
		before, inUse, configured bool // of direct routing
		want                      bool
	}{
		"never used":        {false, false, false, false},
		"in use":            {false, true, true, true},
		"just enabled":      {false, false, true, true},
		"disabled":          {false, true, false, true},
		"used before start": {true, false, false, true},
	} {
		l, _ := newReadyLoop(t, 2)
		l.stateFile.loaded.Direct, l.network.VXLAN.DirectRouting, l.state.Network.VXLAN.DirectRouting = c.before, c.inUse, c.configured
		if got := l.rules().Network.VXLAN.DirectRouting; got != c.want {
			t.Errorf("%s: accepted is %v, want %v", name, got, c.want)
		}
		if l.network.VXLAN.DirectRouting != c.inUse {
			t.Errorf("%s: the backend uses direct routing: %v, want %v", name, !c.inUse, c.inUse)
		}
	}
}

func TestFirewallRulesOfTheState(t *testing.T) {
	l, _ := newReadyLoop(t, 2, 3)
	l.peers.leases[1].BackendType = "host-gw"
	l.interfaces = interfaces{interfaceOf("eth0", 2), interfaceOf("podlane.1", 5), interfaceOf("cni0", 7, "10.5.34.1/24")}
	l.pods.update(l.interfaces, l.state.Own.Pair())
	r := l.rules()
	for name, c := range map[string]struct{ got, want any }{
		"peers with VXLAN":  {r.Peers, addresses("198.18.1.2")},
		"their pod subnets": {r.PeerSubnets, []netip.Prefix{netip.MustParsePrefix("10.5.2.0/24")}},
		"own addresses":     {r.Addrs, addresses("198.18.1.1")},
		"pod subnet":        {r.Subnet, subnet.Pair{IPv4: netip.MustParsePrefix("10.5.34.0/24")}},
		"pod interfaces":    {r.PodInterfaces, []string{"cni0"}},
		"bridge":            {r.Bridge, firewall.Bridge{Interface: firewall.Interface{Name: "cni0", Index: 7}, Addrs: []netip.Prefix{netip.MustParsePrefix("10.5.34.1/24")}}},
		"overlay devices":   {r.Overlay[:], []firewall.Interface{{Name: "podlane.1", Index: 5}, {Name: "podlane-v6.1"}}},
		"masquerade":        {r.Masquerade, true},
		"underlay":          {r.Underlay, firewall.Interface{Name: "eth0", Index: 2}},
	} {
		if diff := gocmp.Diff(c.want, c.got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Until the interfaces exist, their indexes are unknown. Peers are known, although there are none.
func TestFirewallRulesOfAFirstStart(t *testing.T) {
	l, _ := newReadyLoop(t)
	l.interfaces = interfaces{interfaceOf("lo", 1)}
	r := l.rules()
	if r.Underlay != (firewall.Interface{Name: "eth0"}) || r.Overlay[subnet.IPv4] != (firewall.Interface{Name: "podlane.1"}) || r.Bridge.Interface != (firewall.Interface{}) {
		t.Errorf("want names without indexes, and no bridge: underlay %+v, overlay %+v, bridge %+v", r.Underlay, r.Overlay, r.Bridge)
	}
	if r.Peers == nil || len(r.Peers) > 0 {
		t.Errorf("peers %#v: want none, but not nil", r.Peers)
	}
}
