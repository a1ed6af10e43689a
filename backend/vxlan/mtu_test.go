package vxlan

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/podlane/podlane/underlay"
)

func TestOverlayMTU(t *testing.T) {
	for _, c := range []struct {
		config     string
		configured int
		underlay   int
		want       int
		fault      string
	}{
		{config: configIPv4, underlay: 1500, want: 1450},
		{config: configIPv6, underlay: 1500, want: 1430},
		{config: configBoth, underlay: 1500, want: 1430},
		{config: configIPv4, underlay: 9000, want: 8950},
		{config: configIPv4, underlay: 65536, want: 65486},
		{config: configIPv4, underlay: 1280, want: 1230},
		{config: configIPv4, underlay: 626, want: 576},
		{config: configIPv4, underlay: 625, fault: "underlay u0 has an MTU of 625: it leaves 575 for the overlay, which needs at least 576"},
		{config: configBoth, underlay: 1350, want: 1280},
		{config: configBoth, underlay: 1280, fault: "underlay u0 has an MTU of 1280: it leaves 1210 for the overlay, which needs at least 1280"},
		{config: configIPv6, underlay: 1349, fault: "underlay u0 has an MTU of 1349: it leaves 1279 for the overlay, which needs at least 1280"},
		{config: configIPv4, configured: 1200, underlay: 1280, want: 1200},
		{config: configIPv4, configured: 1400, underlay: 0, want: 1400},
		{config: configIPv4, underlay: 0, fault: "the MTU of the paths to other nodes is not known: no packet leaves through underlay u0, and the node has no route to a peer or to a router; set Backend.MTU in the network configuration"},
		{config: configIPv4, configured: 1400, underlay: 1500, want: 1400},
		{config: configIPv4, configured: 1450, underlay: 1500, want: 1450},
		{config: configIPv4, configured: 1451, underlay: 1500, fault: "configured MTU 1451 is more than the 1450 that underlay u0 leaves for the overlay (its MTU is 1500)"},
		{config: configBoth, configured: 1450, underlay: 1500, fault: "configured MTU 1450 is more than the 1430 that underlay u0 leaves for the overlay (its MTU is 1500)"},
	} {
		more := ""
		if c.configured != 0 {
			more = fmt.Sprintf(`"MTU":%d`, c.configured)
		}
		u := underlay.Interface{Name: "u0", MTU: c.underlay, Addrs: []netip.Prefix{
			netip.MustParsePrefix("198.18.0.1/24"), netip.MustParsePrefix("2001:db8::1/64"),
		}}
		b, err := New(network(t, c.config, more), u)
		switch {
		case c.fault == "" && err != nil, c.fault != "" && (err == nil || err.Error() != c.fault):
			t.Errorf("%+v: %v", c, err)
		case err == nil && b.MTU() != c.want:
			t.Errorf("%+v: %d", c, b.MTU())
		}
	}
}

func TestUnderlayWithoutTheFamily(t *testing.T) {
	u := underlay.Interface{Name: "u0", MTU: 1500, Addrs: []netip.Prefix{
		netip.MustParsePrefix("198.18.0.1/24"), netip.MustParsePrefix("fe80::1/64"),
	}}
	_, err := New(network(t, configBoth, ""), u)
	if err == nil || !strings.Contains(err.Error(), "underlay u0 has no IPv6 address") {
		t.Errorf("got %v", err)
	}
}
