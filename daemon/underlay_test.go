package main

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
	"github.com/podlane/podlane/underlay"
)

func addresses(list ...string) (as []netip.Addr) {
	for _, s := range list {
		as = append(as, netip.MustParseAddr(s))
	}
	return as
}

func upInterface(index int, name string, addrs ...string) underlay.Interface {
	i := underlay.Interface{Name: name, Index: index, MTU: 1500, Up: true}
	for _, a := range addrs {
		i.Addrs = append(i.Addrs, netip.MustParsePrefix(a))
	}
	return i
}

// A restart keeps the interface's own addresses in the overlay's families, also behind NAT.
func TestSavedUnderlayAddresses(t *testing.T) {
	l, _ := newTestLoop(t)
	l.config.publicIP.Addr = netip.MustParseAddr("203.0.113.9")
	l.underlay.iface = upInterface(1002, "eth0", "198.18.1.1/16", "2001:db8::1/64")
	l.underlay.self = l.daemon.self(l.underlay.iface, savedState{})
	l.receive(stateWithPeers(t, l))
	l.stateFile.loaded.Local = addresses("198.18.77.1")
	for _, c := range []struct {
		verified bool
		want     string
	}{{false, "198.18.77.1"}, {true, "198.18.1.1"}} {
		if c.verified {
			l.kernel.verified = time.Now()
		}
		l.stateFile.changed = true
		l.saveState(true)
		s, err := loadState(l.config.stateDir, "/p")
		if err != nil || !slices.Equal(s.Local, addresses(c.want)) || !slices.Equal(s.known().local, s.Local) {
			t.Errorf("verified %v: saved %v, %v", c.verified, s.Local, err)
		}
		if got := l.config.want(s.known()); !slices.Contains(got.Known, l.config.publicIP.Addr) || !slices.Equal(got.Kept, s.Local) {
			t.Errorf("a restart wants %+v", got)
		}
	}
}

func TestSavedStateOfAnOlderPodlaned(t *testing.T) {
	both, _, err := subnet.ParseNetwork([]byte(`{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:5::/48"}`))
	if err != nil {
		t.Fatal(err)
	}
	self := subnet.Self{Node: subnet.Node{ID: "a", Name: "n1"}, PublicIP: netip.MustParseAddr("198.18.1.1"), PublicIPv6: netip.MustParseAddr("2001:db8::1")}
	for key, want := range map[string][]netip.Addr{
		"10.5.3.0-24":                 addresses("198.18.1.1"),
		"10.5.3.0-24&fd00:5:0:3::-64": addresses("198.18.1.1", "2001:db8::1"),
		"0.0.0.0-0&fd00:5:0:3::-64":   addresses("2001:db8::1"),
	} {
		pair, err := subnet.ParseKey(key)
		if err != nil {
			t.Fatal(err)
		}
		own := self.Lease(both, pair, subnet.Lease{})
		s := savedState{Saved: store.Saved{Own: key, Leases: []store.SavedLease{{Key: key, Value: own.Value()}}}}
		if got := s.known().local; !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", key, got, want)
		}
	}
	if got := (savedState{}).known().local; len(got) > 0 {
		t.Errorf("no state: %v", got)
	}
}

// The node boots, and its interface gets its address late. Until then the node uses another underlay.
func TestUnderlayAddressAppearsLate(t *testing.T) {
	l, _ := newTestLoop(t)
	early, late := upInterface(1003, "eth1", "203.0.113.1/24"), upInterface(1002, "eth0", "198.18.1.1/16")
	down := late
	down.Up = false
	l = newLoop(l.daemon, early, savedState{Local: addresses("198.18.1.1")})
	l.receive(stateWithPeers(t, l))
	for _, c := range []struct {
		what   string
		ifaces []underlay.Interface
		want   string
	}{
		{"address is missing", []underlay.Interface{early}, "eth1"},
		{"interface is down", []underlay.Interface{down, early}, "eth1"},
		{"address is back", []underlay.Interface{late, early}, "eth0"},
		{"address is lost", []underlay.Interface{early}, "eth0"}, // an error: there is no default route
		{"another interface has the address", []underlay.Interface{early, upInterface(1005, "eth2", "198.18.1.1/16")}, "eth2"},
	} {
		now, err := l.nextUnderlay(c.ifaces)
		if err == nil {
			l.underlay.use(now, l.underlay.self, nil)
		}
		if l.underlay.iface.Name != c.want {
			t.Errorf("%s: %s, %v; want %s", c.what, l.underlay.iface.Name, err, c.want)
		}
	}
	if l.underlay.previousAddrs != nil {
		t.Errorf("previous addresses after the return: %v", l.underlay.previousAddrs)
	}
}

func TestUnderlayWithoutCarrier(t *testing.T) {
	l, out := newTestLoop(t)
	l.receive(stateWithPeers(t, l))
	i := l.underlay.iface
	i.NoCarrier = true
	for range 2 {
		l.describeUnderlay([]underlay.Interface{i}, i)
	}
	const problem = "underlay link: interface eth0 has no carrier: check its cable, or the link below it; --iface moves the underlay to another interface"
	if got := l.problems.List(); !slices.Equal(got, []string{problem}) || strings.Count(out.String(), problem) != 1 {
		t.Errorf("%q\n%s", got, out)
	}
	l.describeUnderlay([]underlay.Interface{l.underlay.iface}, l.underlay.iface)
	if got := l.problems.List(); len(got) > 0 {
		t.Errorf("with a carrier: %q", got)
	}
}
