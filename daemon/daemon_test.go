package main

import (
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/podlane/podlane/settings"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

func TestSelfOnAnUnderlay(t *testing.T) {
	l, _ := newTestLoop(t)
	saved := savedState{Saved: store.Saved{Own: "10.5.34.0-24"}}
	expect := func(when string, saved savedState, want subnet.Self) {
		t.Helper()
		want.Node = subnet.Node{ID: "a", Name: "n1", Version: version}
		got := l.daemon.self(l.underlay.iface, saved)
		if diff := gocmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	expect("by default", savedState{}, subnet.Self{PublicIP: netip.MustParseAddr("198.18.1.1")})

	l.config.publicIP = settings.Addr{Addr: netip.MustParseAddr("203.0.113.7")}
	l.config.publicIPv6 = settings.Addr{Addr: netip.MustParseAddr("2001:db8::7")}
	want := subnet.Self{
		PublicIP: l.config.publicIP.Addr, PublicIPv6: l.config.publicIPv6.Addr,
		Previous: subnet.Pair{IPv4: netip.MustParsePrefix("10.5.34.0/24")},
	}
	expect("with public addresses and a saved state", saved, want)

	node := subnet.NodeFile{
		Network: subnet.Pair{IPv4: netip.MustParsePrefix("10.5.0.0/16")}, Subnet: subnet.Pair{IPv4: netip.MustParsePrefix("10.5.35.0/24")}, MTU: 1450,
	}
	if err := subnet.WriteFile(filepath.Join(l.config.runDir, nodeFile), node.Marshal(), 0o600); err != nil {
		t.Fatal(err)
	}
	want.Previous, want.InUse = node.Subnet, true
	expect("with a node file too", saved, want)
}

func TestUnderlayThatCannotCarryTheNetwork(t *testing.T) {
	l, _ := newTestLoop(t)
	for config, want := range map[string]string{
		`{"Network":"198.18.0.0/20"}`:                      "pod network 198.18.0.0/20 overlaps 198.18.1.1/16 of underlay interface eth0",
		`{"Network":"10.5.0.0/16","Backend":{"MTU":1500}}`: "configured MTU 1500 is more than the 1450",
		`{"Network":"10.5.0.0/16"}`:                        "",
	} {
		_, err := newBackend(parseNetwork(t, config), l.underlay.iface, l.underlay.self)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", config, err, want)
		}
	}
}
