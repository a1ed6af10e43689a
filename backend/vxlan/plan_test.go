package vxlan

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/underlay"
)

var testUnderlay = underlay.Interface{Name: "u0", Index: 7, MTU: 1500, Up: true, Addrs: []netip.Prefix{
	netip.MustParsePrefix("198.18.0.1/24"), netip.MustParsePrefix("2001:db8::1/64"),
}}

// text returns a state in an operator's words, one entry on each line.
func (s state) text() string {
	var lines []string
	for p := range s.addrs {
		lines = append(lines, addressText(p, s.device.name))
	}
	for a, mac := range s.neighbours {
		lines = append(lines, neighbourText(a, mac, s.device.name))
	}
	for mac, dst := range s.fdb {
		lines = append(lines, fdbText(mac, dst, s.device.name))
	}
	for k, r := range s.routes {
		dev := s.device.name
		if r.link != ownDevice {
			dev = "u0"
		}
		lines = append(lines, routeText(k, r, dev))
	}
	slices.Sort(lines)
	return strings.Join(append([]string{s.device.String()}, lines...), "\n")
}

func TestPlan(t *testing.T) {
	far := lease(3)
	far.IPv4.PublicIP, far.IPv6.PublicIP = netip.MustParseAddr("198.51.100.3"), netip.MustParseAddr("2001:db8:1::3")
	peers := []subnet.Lease{lease(2), far}
	for name, c := range map[string]struct {
		family       subnet.Family
		config, more string
		want         string
	}{
		"IPv4": {subnet.IPv4, configIPv4, "", `
			link podlane.1 type vxlan id 1 dstport 8472 local 198.18.0.1 mtu 1450 address 8e:ca:98:f1:de:ac
			address 10.5.1.0/32 dev podlane.1
			fdb 4e:3f:c8:0a:91:05 dst 198.18.0.2 dev podlane.1
			fdb e6:ad:78:43:1a:d0 dst 198.51.100.3 dev podlane.1
			neigh 10.5.2.0 lladdr 4e:3f:c8:0a:91:05 dev podlane.1
			neigh 10.5.3.0 lladdr e6:ad:78:43:1a:d0 dev podlane.1
			route 10.5.2.0/24 via 10.5.2.0 dev podlane.1 proto 112 metric 131074 onlink
			route 10.5.3.0/24 via 10.5.3.0 dev podlane.1 proto 112 metric 131075 onlink`},
		"IPv6": {subnet.IPv6, configIPv6, "", `
			link podlane-v6.1 type vxlan id 1 dstport 8472 local 2001:db8::1 mtu 1430 address be:54:42:17:bd:5f
			address fd00:5:1::/128 dev podlane-v6.1
			fdb 3e:8b:ea:97:ec:8f dst 2001:db8::2 dev podlane-v6.1
			fdb c2:14:33:0d:f1:52 dst 2001:db8:1::3 dev podlane-v6.1
			neigh fd00:5:2:: lladdr 3e:8b:ea:97:ec:8f dev podlane-v6.1
			neigh fd00:5:3:: lladdr c2:14:33:0d:f1:52 dev podlane-v6.1
			route fd00:5:2::/64 via fd00:5:2:: dev podlane-v6.1 proto 112 metric 131074 onlink
			route fd00:5:3::/64 via fd00:5:3:: dev podlane-v6.1 proto 112 metric 131075 onlink`},
		"direct where the link is shared": {subnet.IPv4, configBoth, `"DirectRouting":true,"GBP":true,"Port":4789`, `
			link podlane.1 type vxlan id 1 dstport 4789 local 198.18.0.1 mtu 1430 address 8e:ca:98:f1:de:ac gbp
			address 10.5.1.0/32 dev podlane.1
			fdb e6:ad:78:43:1a:d0 dst 198.51.100.3 dev podlane.1
			neigh 10.5.3.0 lladdr e6:ad:78:43:1a:d0 dev podlane.1
			route 10.5.2.0/24 via 198.18.0.2 dev u0 proto 112 metric 65538
			route 10.5.3.0/24 via 10.5.3.0 dev podlane.1 proto 112 metric 131075 onlink`},
	} {
		t.Run(name, func(t *testing.T) {
			s, skipped := plan(c.family, network(t, c.config, c.more), testUnderlay, lease(1), peers)
			want := strings.TrimSpace(strings.ReplaceAll(c.want, "\t", ""))
			if diff := cmp.Diff(want, s.text()); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
			if len(skipped) != 0 {
				t.Errorf("skipped %v", skipped)
			}
		})
	}
}

func TestUnsupportedPeersAreSkipped(t *testing.T) {
	hostGW, otherVNI, old, v6 := lease(2), lease(3), lease(4), lease(5)
	hostGW.BackendType = "host-gw"
	otherVNI.IPv4.VNI = 7
	old.IPv4.VNI = 0 // flannel before 0.15 does not write it
	v6.IPv4 = subnet.Endpoint{}
	peers := []subnet.Lease{hostGW, otherVNI, old, v6}
	s, skipped := plan(subnet.IPv4, network(t, configBoth, ""), testUnderlay, lease(1), peers)
	if len(s.routes) != 1 || s.neighbours[old.IPv4.Subnet.Addr()] != old.IPv4.MAC {
		t.Errorf("planned:\n%s", s.text())
	}
	want := []subnet.Skip{
		{Key: "10.5.2.0-24&fd00:5:2::-64", Reason: `its backend is "host-gw": only "vxlan" is programmed`},
		{Key: "10.5.3.0-24&fd00:5:3::-64", Reason: "its VNI is 7, ours is 1"},
	}
	if diff := cmp.Diff(want, skipped); diff != "" {
		t.Errorf("skipped (-want +got):\n%s", diff)
	}
}

// Peers know a node behind NAT by an address that it does not have.
func TestLocalAddress(t *testing.T) {
	u := testUnderlay
	u.Addrs = append(slices.Clone(u.Addrs), netip.MustParsePrefix("198.18.0.9/24"))
	for public, want := range map[string]string{
		"198.18.0.1": "198.18.0.1", "198.18.0.9": "198.18.0.9", "203.0.113.5": "198.18.0.1",
	} {
		own := lease(1).IPv4
		own.PublicIP = netip.MustParseAddr(public)
		if got := localAddr(subnet.IPv4, u, own); got.String() != want {
			t.Errorf("known as %s, sends from %s, want %s", public, got, want)
		}
	}
}

func TestIndexOfSubnet(t *testing.T) {
	for _, c := range []struct {
		network, subnet string
		want            uint32
	}{
		{"10.5.0.0/16", "10.5.34.0/24", 34},
		{"10.5.0.0/16", "10.5.0.0/24", 0},
		{"10.0.0.0/8", "10.255.255.0/24", 65535},
		{"10.0.0.0/8", "10.16.0.16/28", 1},
		{"10.5.0.0/16", "10.5.0.1/32", 1},
		{"fd00:5::/32", "fd00:5:22::/64", 34},
		{"fd00:5::/32", "fd00:5:0:22::/64", 34},
		{"fd00:5::/48", "fd00:5:0:22::/64", 34},
		{"fd00::/16", "fd00:1:2:4::/64", 7},
		{"fd00:5::/64", "fd00:5::1:0:0/96", 1},
		{"fd00:5::/64", "fd00:5::22/128", 34},
	} {
		if got := subnetIndex(netip.MustParsePrefix(c.network), netip.MustParsePrefix(c.subnet)); got != c.want {
			t.Errorf("index of %s in %s: %d, want %d", c.subnet, c.network, got, c.want)
		}
	}
}

// The kernel's cost grows with the square of the number of routes that share a metric.
func TestRoutesHaveDistinctMetrics(t *testing.T) {
	for _, config := range []string{configLarge, configIPv6} {
		n := network(t, config, "")
		share, most := map[uint32]int{}, 0
		for i := range 65536 {
			p := lease(0).IPv6.Subnet
			f := subnet.IPv6
			if n.IPv4.On() {
				f, p = subnet.IPv4, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24)
			} else {
				a := p.Addr().As16()
				a[4], a[5] = byte(i>>8), byte(i)
				p = netip.PrefixFrom(netip.AddrFrom16(a), 64)
			}
			k, _ := peerRoute(f, n, testUnderlay, subnet.Endpoint{Subnet: p})
			share[k.metric]++
			most = max(most, share[k.metric])
		}
		if most > 1 {
			t.Errorf("%s: %d routes share a metric", config, most)
		}
	}
}
