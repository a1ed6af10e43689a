package underlay

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/rtnl"
)

func TestPathsOnlyFallOncePeersAreKnown(t *testing.T) {
	var p Paths
	for i, c := range []struct{ toPeers, toRouters, want int }{
		{0, 0, 0},       // nothing is known
		{0, 1400, 1400}, // no peer yet
		{0, 1500, 1500},
		{1600, 1500, 1600}, // only the first peer raises it
		{9000, 1500, 1600}, // the first peer is gone, another one came
		{1450, 1500, 1450},
		{0, 1500, 1450}, // all are gone
		{0, 0, 1450},
		{1500, 1500, 1450},
	} {
		if got := p.update(c.toPeers, c.toRouters); got != c.want {
			t.Errorf("step %d: %d, want %d", i, got, c.want)
		}
	}
}

func TestSmallestPath(t *testing.T) {
	mtus := map[int]int{2: 1500, 3: 9000}
	for name, c := range map[string]struct {
		paths []path
		want  int
	}{
		"none":                          {nil, 0},
		"one":                           {[]path{{links: []int{3}}}, 9000},
		"several":                       {[]path{{links: []int{3}}, {links: []int{2}}}, 1500},
		"several next hops":             {[]path{{links: []int{3, 2}}}, 1500},
		"the route's own":               {[]path{{links: []int{3}, mtu: 8000}}, 8000},
		"the route's own is too big":    {[]path{{links: []int{2}, mtu: 8000}}, 1500},
		"by an interface without tasks": {[]path{{links: []int{1}}, {links: []int{3}}}, 9000},
		"by such an interface alone":    {[]path{{links: []int{1}}}, 0},
	} {
		if got := smallest(c.paths, mtus); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// A node whose address is on lo, with two uplinks. eth2 leads to no node.
const uplinks = `
sysctl -qw net.ipv6.conf.default.accept_dad=0
ip link set lo up
for i in 0 1 2; do ip link add eth$i type veth peer name far$i; ip link set far$i up; ip link set eth$i up; done
ip link set eth0 mtu 1400; ip link set eth1 mtu 9000; ip link set eth2 mtu 1300
ip addr add 192.0.2.7/32 dev lo
ip addr add 198.18.0.1/16 dev eth0
ip addr add 198.19.0.1/24 dev eth1
ip addr add 203.0.113.1/24 dev eth2
ip addr add 2001:db8::1/64 dev eth1 nodad
ip link add cni0 mtu 1280 type bridge; ip link set cni0 up; ip addr add 10.5.34.1/24 dev cni0; ip route add 10.0.0.0/8 via 10.5.34.9
ip link add dummy0 mtu 1200 type bridge; ip link set dummy0 up; ip route add 198.51.100.9 dev dummy0
`

func TestMTUOfPaths(t *testing.T) {
	for name, c := range map[string]struct {
		commands string
		peers    []string
		want     int
	}{
		"nothing known":                 {"true", nil, 0},
		"no peer, default route":        {"ip route add default via 198.19.0.9", nil, 9000},
		"no peer, two default routes":   {"ip route add default nexthop via 198.19.0.9 nexthop via 198.18.0.9", nil, 1400},
		"no peer, default without via":  {"ip route add default dev eth1", nil, 9000},
		"no peer, IPv6's default route": {"ip -6 route add default via 2001:db8::9", nil, 9000},
		"no peer, routes to routers":    {"ip route add 198.51.100.0/24 via 198.19.0.9; ip route add 198.51.101.0/24 via 198.18.0.9", nil, 1400},
		"no peer, via another family":   {"ip route add 198.51.100.0/24 via inet6 2001:db8::9 dev eth1", nil, 9000},
		"peers":                         {"ip route add default via 198.18.0.9; ip route add 198.51.100.0/24 via 198.19.0.9", []string{"198.51.100.1", "198.51.100.2"}, 9000},
		"peers by several routes":       {"ip route add 198.51.100.0/24 nexthop via 198.19.0.9 nexthop via 198.18.0.9", []string{"198.51.100.1"}, 1400},
		"peer on a link":                {"true", []string{"198.18.0.2"}, 1400},
		"peers on links":                {"true", []string{"198.19.0.2", "203.0.113.2"}, 1300},
		"IPv6 peer":                     {"true", []string{"2001:db8::2"}, 9000},
		"IPv6 peers by several routes":  {"ip -6 addr add 2001:db8:1::1/64 dev eth0 nodad; ip -6 route add 2001:db8:5::/64 nexthop via 2001:db8::9 nexthop via 2001:db8:1::9", []string{"2001:db8:5::1"}, 1400},
		"route with an MTU":             {"ip route add 198.51.100.0/24 via 198.19.0.9 mtu 8000", []string{"198.51.100.1"}, 8000},
		"another table":                 {"ip route add 198.51.100.0/24 via 198.19.0.9 table 7; ip rule add to 198.51.100.0/24 lookup 7", []string{"198.51.100.1"}, 9000},
		"peers without a route":         {"ip route add unreachable 198.51.100.7; ip route add blackhole 198.51.100.8", []string{"198.51.100.1", "198.51.100.7", "198.51.100.8", "198.19.0.2", "2001:db8:9::1"}, 9000},
		"no route to any peer":          {"ip route add 198.51.100.1 via 198.19.0.9", []string{"198.51.100.2"}, 9000},
		"the node itself":               {"true", []string{"192.0.2.7"}, 0},
		"by a dummy and by the pods":    {"true", []string{"198.51.100.9", "10.5.34.7"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			n := setUp(t, uplinks+c.commands)
			for _, want := range []Want{{Ifaces: []string{"lo"}}, {Ifaces: []string{"192.0.2.7"}}} {
				i := in(t, n, func() (Interface, error) { return measureHere(want, c.peers) })
				if i.Name != "lo" || i.MTU != c.want {
					t.Errorf("%s has MTU %d, want %d", i.Name, i.MTU, c.want)
				}
			}
		})
	}
}

func TestMTUOfADummyAndOfARealInterface(t *testing.T) {
	n := setUp(t, uplinks+"ip addr add 192.0.2.8/32 dev dummy0; ip route add default via 198.19.0.9")
	for _, c := range []struct {
		commands, name string
		want           int
	}{
		{"true", "dummy0", 9000},
		{"true", "eth0", 1400},
		{"ip route del default", "dummy0", 1200}, // its own, if no path is known
		{"ip link set lo mtu 1300", "lo", 1300},
	} {
		if _, err := n.Run("sh", "-ec", c.commands); err != nil {
			t.Fatal(err)
		}
		i := in(t, n, func() (Interface, error) { return measureHere(Want{Ifaces: []string{c.name}}, nil) })
		if i.MTU != c.want {
			t.Errorf("%s: %s has MTU %d, want %d", c.commands, c.name, i.MTU, c.want)
		}
	}
}

func measureHere(w Want, peers []string) (Interface, error) {
	ifaces, err := Read()
	if err != nil {
		return Interface{}, err
	}
	i, err := Choose(ifaces, w, RouteTo)
	if err != nil {
		return i, err
	}
	return new(Paths).Measure(i, ifaces, func() (as []netip.Addr) { return kept(peers...) })
}

func FuzzPath(f *testing.F) {
	f.Add([]byte{unix.AF_INET, 0, 0, 0, unix.RT_TABLE_MAIN, 0, 0, unix.RTN_UNICAST, 0, 0, 0, 0, 16, 0, unix.RTA_MULTIPATH, 0, 8, 0, 0, 0, 5, 0, 0, 0})
	f.Add([]byte{unix.AF_INET6, 64, 0, 0, unix.RT_TABLE_MAIN, 0, 0, unix.RTN_UNICAST, 0, 0, 0, 0, 8, 0, unix.RTA_OIF, 0, 3, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, ok := parsePath(rtnl.Message{Type: unix.RTM_NEWROUTE, Body: data}); ok && len(p.links) == 0 {
			t.Errorf("%v", p)
		}
	})
}
