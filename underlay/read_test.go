package underlay

import (
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/lab/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

func setUp(t *testing.T, script string) sandbox.Namespace {
	t.Helper()
	n := sandbox.Test(t, "node")
	if _, err := n.Run("sh", "-e", "-c", script); err != nil {
		t.Fatal(err)
	}
	return n
}

func in[T any](t *testing.T, n sandbox.Namespace, f func() (T, error)) (value T) {
	t.Helper()
	if err := n.Do(func() (err error) {
		value, err = f()
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return value
}

const twoLinks = `
sysctl -qw net.ipv6.conf.default.accept_dad=0
ip link add eth0 type veth peer name far0
ip link property add dev eth0 altname enp0s3 altname uplink
ip link add eth1 mtu 9000 type veth peer name far1
ip addr add 198.18.0.1/16 dev eth0
ip addr add 198.18.0.99/16 dev eth0
ip addr add 198.19.0.1 peer 198.19.0.2 dev eth1
ip addr add 2001:db8::1/64 dev eth0 nodad
ip addr add 2001:db8::2/64 dev eth0 nodad preferred_lft 0
ip link set eth0 up
ip link set far0 up
ip link set eth1 up
ip link set far1 up`

// compareAddrs compares addresses and treats empty lists like missing ones.
var compareAddrs = cmp.Options{cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.EquateEmpty()}

func TestReadInterfaces(t *testing.T) {
	n := setUp(t, twoLinks+`
ip link add br0 type bridge; ip link add br1 type bridge; ip link add eth3 type veth peer name far3; ip link set eth3 master br1
ip link add eth2 type veth peer name far2
ip link set eth2 up`)
	ifaces := in(t, n, Read)
	byName := map[string]Interface{}
	for _, i := range ifaces {
		i.Addrs = slices.DeleteFunc(i.Addrs, func(p netip.Prefix) bool { return p.Addr().IsLinkLocalUnicast() })
		byName[i.Name] = i
	}
	if !slices.IsSortedFunc(ifaces, func(a, b Interface) int { return a.Index - b.Index }) {
		t.Errorf("not in the kernel's order: %v", ifaces)
	}
	for _, want := range []Interface{
		{Name: "lo", MTU: 65536, Up: true, Loopback: true, Virtual: true, Addrs: addrs("127.0.0.1/8", "::1/128")},
		{Name: "eth0", MTU: 1500, Up: true, AltNames: []string{"enp0s3", "uplink"}, Addrs: addrs("198.18.0.1/16", "198.18.0.99/16", "2001:db8::1/64", "2001:db8::2/64"), Deprecated: kept("2001:db8::2")},
		{Name: "eth1", MTU: 9000, Up: true, Addrs: addrs("198.19.0.1/32")},
		{Name: "br0", MTU: 1500, Virtual: true},
		{Name: "br1", MTU: 1500},
		{Name: "eth2", MTU: 1500, Up: true, NoCarrier: true},
	} {
		got := byName[want.Name]
		if got.Index == 0 {
			t.Errorf("%s has no index", want.Name)
		}
		got.Index = 0
		if diff := cmp.Diff(want, got, compareAddrs); diff != "" {
			t.Errorf("%s (-want +got):\n%s", want.Name, diff)
		}
	}
}

func TestVirtualInterfaces(t *testing.T) {
	up := netlink.LinkAttrs{Name: "x0", RawFlags: unix.IFF_UP}
	for _, c := range []struct {
		link      netlink.Link
		hasPorts  bool
		virtual   bool
		noCarrier bool
	}{
		{&netlink.Dummy{LinkAttrs: up}, false, true, false},
		{&netlink.Vrf{LinkAttrs: up}, true, true, false},
		{&netlink.Bridge{LinkAttrs: up}, false, true, false},
		{&netlink.Bridge{LinkAttrs: up}, true, false, true},
		{&netlink.Device{LinkAttrs: netlink.LinkAttrs{RawFlags: unix.IFF_UP | unix.IFF_LOOPBACK}}, false, true, false},
		{&netlink.Device{LinkAttrs: netlink.LinkAttrs{RawFlags: unix.IFF_UP | unix.IFF_LOWER_UP}}, false, false, false},
		{&netlink.Device{}, false, false, false},
		{&netlink.Bond{LinkAttrs: up}, true, false, true},
		{&netlink.Wireguard{LinkAttrs: up}, false, false, true},
	} {
		if got := parseLink(c.link, c.hasPorts); got.Virtual != c.virtual || got.NoCarrier != c.noCarrier {
			t.Errorf("%s: %+v", c.link.Type(), got)
		}
	}
}

func TestRoutes(t *testing.T) {
	n := setUp(t, twoLinks+`
ip route add unreachable default metric 4096
ip route add default via 198.18.0.254 dev eth0 metric 200
ip route add default dev eth1 metric 100
ip route add 203.0.113.0/24 via 198.18.0.254
ip route add unreachable 203.0.113.77
ip -6 route add default via 2001:db8::fe dev eth0`)
	for dst, want := range map[string]string{
		"0.0.0.0": "eth1", "::": "eth0", "203.0.113.1": "eth0", "9.9.9.9": "eth1", "198.18.0.1": "lo", "2001:db8:1::1": "eth0",
	} {
		index := in(t, n, func() (int, error) { return RouteTo(netip.MustParseAddr(dst)) })
		link := in(t, n, func() (netlink.Link, error) { return netlink.LinkByIndex(index) })
		if got := link.Attrs().Name; got != want {
			t.Errorf("route to %s goes through %s, want %s", dst, got, want)
		}
	}
	err := n.Do(func() error { _, err := RouteTo(netip.MustParseAddr("203.0.113.77")); return err })
	if !errors.Is(err, ErrNoRoute) {
		t.Errorf("unreachable destination: %v", err)
	}
}

func TestMultipathDefaultRoute(t *testing.T) {
	n := setUp(t, twoLinks+`
ip route add default nexthop via 198.18.0.254 dev eth0 nexthop dev eth1`)
	i := in(t, n, func() (Interface, error) { return chooseHere(Want{}) })
	if i.Name != "eth0" {
		t.Errorf("chose %s", i.Name)
	}
}

func chooseHere(w Want) (Interface, error) {
	ifaces, err := Read()
	if err != nil {
		return Interface{}, err
	}
	return Choose(ifaces, w, RouteTo)
}

func TestNodeWithoutRoutes(t *testing.T) {
	n := sandbox.Test(t, "node")
	err := n.Do(func() error { _, err := chooseHere(Want{}); return err })
	want := "choose the underlay interface: there is no route for IPv4 by default, and there is no route for IPv6 by default; " +
		"name the interface with --iface: there are lo (127.0.0.1/8, ::1/128)"
	if err == nil || err.Error() != want {
		t.Errorf("error\n%v\nwant\n%s", err, want)
	}
	err = n.Do(func() error { _, err := chooseHere(Want{CanReach: netip.MustParseAddr("9.9.9.9")}); return err })
	if err == nil {
		t.Error("9.9.9.9 is reached without a route")
	}
}

func TestDumpsAreReadAgain(t *testing.T) {
	calls := 0
	got, err := again(func() ([]int, error) {
		if calls++; calls < 3 {
			return nil, netlink.ErrDumpInterrupted
		}
		return []int{7}, nil
	})
	if err != nil || !slices.Equal(got, []int{7}) || calls != 3 {
		t.Errorf("%v, %v after %d calls", got, err, calls)
	}
	if _, err = again(func() ([]int, error) { return []int{7}, netlink.ErrDumpInterrupted }); !errors.Is(err, netlink.ErrDumpInterrupted) {
		t.Errorf("a dump that is always interrupted: %v", err)
	}
}
