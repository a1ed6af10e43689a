package main

import (
	"net/netip"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/podlane/podlane/bridge"
	"github.com/podlane/podlane/subnet"
)

// The firewall checks packets from the pods' bridge even while it has lost its address.
func TestKnownBridgeLosesItsAddress(t *testing.T) {
	own := subnet.Pair{IPv4: netip.MustParsePrefix("10.5.34.0/24")}
	eth0, cni0, overlay := interfaceOf("eth0", 2, "198.18.1.1/16"), interfaceOf("cni0", 3, "10.5.34.1/24"), interfaceOf("podlane.1", 4, "10.5.34.0/32")
	br1 := bridge.Bridge{Name: "br1", Index: 9, Addrs: []netip.Prefix{netip.MustParsePrefix("10.5.34.1/24")}}
	for name, c := range map[string]struct {
		ifaces interfaces
		want   []string
	}{
		"known bridge without address":  {interfaces{eth0, overlay}, []string{"br1"}},
		"other bridge with the address": {interfaces{eth0, cni0, overlay}, []string{"br1", "cni0"}},
		"known bridge with its address": {interfaces{interfaceOf("br1", 9, "10.5.34.1/24")}, []string{"br1"}},
	} {
		p := podInterfaces{bridges: bridge.New([]bridge.Bridge{br1})}
		p.update(c.ifaces, own)
		if diff := gocmp.Diff(c.want, p.names); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if !p.restoreDue {
			t.Errorf("%s: the bridges are not checked", name)
		}
	}
}

func TestPodsWithoutBridgeAreCheckedOften(t *testing.T) {
	for name, c := range map[string]struct {
		cut  []string
		want time.Duration
	}{"all attached": {nil, 0}, "one lost its bridge": {[]string{"veth1"}, checkEvery}} {
		p := podInterfaces{bridges: bridge.New([]bridge.Bridge{{Name: "cni0", Cut: c.cut}})}
		if got := p.nextCheck(); got != c.want {
			t.Errorf("%s: next check in %v, want %v", name, got, c.want)
		}
	}
}

// A reboot removes the bridges, and the node file, which is in /run.
func TestSavedBridges(t *testing.T) {
	s := savedState{Bridges: []bridge.Bridge{{Name: "cni0", Index: 7}}}
	if got := savedBridges(s, subnet.Self{InUse: true}); len(got) != 1 {
		t.Errorf("after a restart: %v", got)
	}
	if got := savedBridges(s, subnet.Self{}); len(got) != 0 {
		t.Errorf("after a reboot: %v", got)
	}
}
