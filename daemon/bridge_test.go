package main

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/podlane/podlane/bridge"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/underlay"
)

// The firewall checks packets from the pods' bridge even while it has lost its address.
func TestPodInterfaces(t *testing.T) {
	l, _ := bench(t)
	l.take(peerState(t, l))
	with := func(name, address string) underlay.Interface {
		return underlay.Interface{Name: name, Addrs: []netip.Prefix{netip.MustParsePrefix(address)}}
	}
	eth0, cni0, overlay := with("eth0", "198.18.1.1/16"), with("cni0", "10.5.34.1/24"), with("podlane.1", "10.5.34.0/32")
	l.pods = bridge.New([]bridge.Bridge{{Name: "br1", Index: 9, Addrs: []netip.Prefix{netip.MustParsePrefix("10.5.34.1/24")}}})
	for _, c := range []struct {
		ifaces []underlay.Interface
		want   []string
	}{
		{[]underlay.Interface{eth0, overlay}, []string{"br1"}},
		{[]underlay.Interface{eth0, cni0, overlay}, []string{"br1", "cni0"}},
		{[]underlay.Interface{with("br1", "10.5.34.1/24")}, []string{"br1"}},
	} {
		l.podsDue = false
		if got := l.podInterfaces(c.ifaces); !slices.Equal(got, c.want) || !l.podsDue {
			t.Errorf("%v, to be read: %v; want %v", got, l.podsDue, c.want)
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
