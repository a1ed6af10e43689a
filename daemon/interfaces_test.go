package main

import (
	"net/netip"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/podlane/podlane/backend"
	"github.com/podlane/podlane/firewall"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/underlay"
)

// interfaceOf returns an interface with addresses.
func interfaceOf(name string, index int, addrs ...string) underlay.Interface {
	i := underlay.Interface{Name: name, Index: index}
	for _, a := range addrs {
		i.Addrs = append(i.Addrs, netip.MustParsePrefix(a))
	}
	return i
}

func TestInterfacesWithAPodAddress(t *testing.T) {
	own := subnet.Pair{IPv4: netip.MustParsePrefix("10.5.34.0/24"), IPv6: netip.MustParsePrefix("fd00:5:22::/64")}
	got := interfaces{
		interfaceOf("lo", 1, "127.0.0.1/8"), interfaceOf("eth0", 2, "198.18.1.1/16"), interfaceOf("podlane.1", 3, "10.5.34.0/32"),
		interfaceOf("podlane-v6.1", 4, "fd00:5:22::/128"), interfaceOf("cni0", 5, "10.5.34.1/24"), interfaceOf("docker0", 6, "fd00:5:22::1/64"),
		interfaceOf("cni1", 7, "10.5.35.1/24"),
	}.withPodAddress(own)
	if diff := gocmp.Diff([]string{"cni0", "docker0"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestInterfaceByItsName(t *testing.T) {
	all := interfaces{interfaceOf("eth0", 2), interfaceOf("podlane.1", 3)}
	for name, want := range map[string]firewall.Interface{
		"podlane.1":    {Name: "podlane.1", Index: 3},
		"podlane-v6.1": {Name: "podlane-v6.1"}, // it is not created yet
	} {
		if got := all.named(name); got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
}

func TestNewDevicesAreAdded(t *testing.T) {
	all := interfaces{interfaceOf("eth0", 2), interfaceOf("podlane.1", 3, "10.5.34.0/32")}
	read := all
	all.add([]backend.Device{{Name: "podlane.1", Index: 8}, {Name: "podlane-v6.1", Index: 9}})
	for name, want := range map[string]int{"eth0": 2, "podlane.1": 8, "podlane-v6.1": 9} {
		if got := all.named(name).Index; got != want {
			t.Errorf("%s: got index %d, want %d", name, got, want)
		}
	}
	if len(all) != 3 || len(read) != 2 || read.named("podlane.1").Index != 3 {
		t.Errorf("got %d interfaces, and what was read is now %v", len(all), read)
	}
}

func TestBridgeOfAllPods(t *testing.T) {
	all := interfaces{interfaceOf("eth0", 2), interfaceOf("cni0", 7, "10.5.34.1/24", "fd00:5:22::1/64"), interfaceOf("br1", 9)}
	for name, c := range map[string]struct {
		names []string
		want  firewall.Bridge
	}{
		"no pod yet":              {nil, firewall.Bridge{}},
		"one bridge":              {[]string{"cni0"}, firewall.Bridge{Interface: firewall.Interface{Name: "cni0", Index: 7}, Addrs: all[1].Addrs}},
		"several bridges":         {[]string{"br1", "cni0"}, firewall.Bridge{}},
		"one without its address": {[]string{"br1"}, firewall.Bridge{Interface: firewall.Interface{Name: "br1", Index: 9}}},
		"one was deleted":         {[]string{"br2"}, firewall.Bridge{}},
	} {
		if diff := gocmp.Diff(c.want, all.bridge(c.names), cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestOnlyWayToPeers(t *testing.T) {
	up := func(name string, index, master int) underlay.Interface {
		return underlay.Interface{Name: name, Index: index, Master: master, Up: true}
	}
	usual := interfaces{
		{Name: "lo", Index: 1, Up: true, Loopback: true}, up("eth0", 2, 0), up("podlane.1", 3, 0), up("cni0", 4, 0), up("veth1", 5, 4),
	}
	for name, c := range map[string]struct {
		more []underlay.Interface
		want bool
	}{
		"the pods' bridge and its ports":      {nil, true},
		"a second interface":                  {[]underlay.Interface{up("eth1", 6, 0)}, false},
		"a second interface that is down":     {[]underlay.Interface{{Name: "eth1", Index: 6}}, true},
		"ports of the underlay":               {[]underlay.Interface{up("eth1", 6, 2), up("eth2", 7, 2)}, true},
		"another bridge with its ports":       {[]underlay.Interface{up("docker0", 6, 0), up("veth2", 7, 6)}, false},
		"a port of something that is missing": {[]underlay.Interface{up("eth1", 6, 99)}, false},
	} {
		all := slices.Concat(usual, c.more)
		if got := all.onlyWay(firewall.Interface{Name: "eth0", Index: 2}, "podlane.1", "podlane-v6.1", "cni0"); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
	if usual.onlyWay(firewall.Interface{Name: "eth0"}, "podlane.1", "cni0") {
		t.Error("the underlay is missing, but it is the only way")
	}
}
