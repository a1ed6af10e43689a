package main

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/underlay"
)

func TestWhenInterfacesAreRead(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	var tracker underlayTracker
	if !tracker.due(now) {
		t.Error("at the start they are not read")
	}
	tracker.readAt = now.Add(time.Minute)
	for after, want := range map[time.Duration]bool{0: false, 59 * time.Second: false, time.Minute: true, time.Hour: true} {
		if got := tracker.due(now.Add(after)); got != want {
			t.Errorf("after %v: read is %v, want %v", after, got, want)
		}
	}
	if tracker.readNow(); !tracker.due(now) {
		t.Error("after a kick they are not read")
	}
}

// The underlay loses its address for a while, and the node uses another interface. It returns with the address, but it does
// not follow an address that was replaced.
func TestNodeReturnsToAnAddressThatWasLost(t *testing.T) {
	known := addresses("198.18.1.1")
	eth0, vpn := upInterface(1002, "eth0", "198.18.1.1/16"), upInterface(1003, "tun0", "203.0.113.1/24")
	br0 := upInterface(1005, "br0", "198.18.1.1/16")
	renumbered := upInterface(1002, "eth0", "198.18.1.9/16")
	both := upInterface(1003, "tun0", "203.0.113.1/24", "198.18.1.1/16")
	down := eth0
	down.Up = false
	for name, c := range map[string]struct {
		uses   []underlay.Interface // one after the other, from eth0 on
		ifaces []underlay.Interface
		want   []netip.Addr // the addresses to keep
	}{
		"address is lost":              {[]underlay.Interface{vpn}, []underlay.Interface{vpn}, nil},
		"address is back":              {[]underlay.Interface{vpn}, []underlay.Interface{vpn, eth0}, known},
		"address is back, but down":    {[]underlay.Interface{vpn}, []underlay.Interface{vpn, down}, nil},
		"address is back on a bridge":  {[]underlay.Interface{vpn}, []underlay.Interface{vpn, br0}, known},
		"address moved along":          {[]underlay.Interface{br0}, []underlay.Interface{br0, eth0}, nil},
		"address was replaced on eth0": {[]underlay.Interface{renumbered}, []underlay.Interface{renumbered, br0}, nil},
		"interface in use gained it":   {[]underlay.Interface{vpn, both}, []underlay.Interface{both, eth0}, nil},
		"node has returned":            {[]underlay.Interface{vpn, eth0}, []underlay.Interface{vpn, eth0}, nil},
	} {
		tracker := newUnderlayTracker(eth0, subnet.Self{}, known)
		for _, i := range c.uses {
			tracker.use(i, subnet.Self{}, []netip.Addr{tracker.iface.Local(subnet.IPv4)})
		}
		got := tracker.want(underlay.Want{}, c.ifaces).Kept
		if diff := gocmp.Diff(c.want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Errorf("%s: addresses to keep (-want +got):\n%s", name, diff)
		}
	}
}

// A node returns to the underlay of its earlier run.
func TestNodeReturnsToTheUnderlayOfAnEarlierRun(t *testing.T) {
	eth0, eth1 := upInterface(1002, "eth0", "198.18.1.1/16"), upInterface(1003, "eth1", "203.0.113.1/24")
	tracker := newUnderlayTracker(eth1, subnet.Self{}, addresses("198.18.1.1"))
	if got := tracker.want(underlay.Want{}, []underlay.Interface{eth0, eth1}).Kept; !slices.Equal(got, addresses("198.18.1.1")) {
		t.Errorf("addresses to keep: %v", got)
	}
}
