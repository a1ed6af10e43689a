package underlay

import (
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/lab/sandbox"
	"github.com/podlane/podlane/rtnl"
	"github.com/podlane/podlane/subnet"
)

func TestDefaultRoute(t *testing.T) {
	n := setUp(t, `
		ip link set lo up
		ip link add eth0 type veth peer name eth1; ip link set eth0 up; ip link set eth1 up
		ip address add 192.0.2.1/24 dev eth0; ip address add 198.51.100.1/24 dev eth1
		ip route add default via 192.0.2.9 dev eth0 metric 200
		ip route add default via 198.51.100.9 dev eth1 metric 100
		ip route add default via 192.0.2.9 dev eth0 table 7
		ip route add 203.0.113.0/24 via 192.0.2.9 dev eth0`)
	want := in(t, n, func() (int, error) { i, err := net.InterfaceByName("eth1"); return i.Index, err })
	if got := in(t, n, func() (int, error) { return defaultRoute(subnet.IPv4) }); got != want {
		t.Errorf("by link %d, want %d", got, want)
	}
}

// The first route makes the main table.
func TestDefaultRouteWithoutATable(t *testing.T) {
	n := sandbox.Test(t, "node")
	for _, f := range subnet.Families {
		if err := n.Do(func() error { _, err := defaultRoute(f); return err }); !errors.Is(err, ErrNoRoute) {
			t.Errorf("%s: %v", f, err)
		}
	}
}

func FuzzDefaultRoute(f *testing.F) {
	attr := func(kind uint16, value ...byte) []byte {
		b := binary.NativeEndian.AppendUint16(nil, uint16(unix.SizeofRtAttr+len(value)))
		return append(binary.NativeEndian.AppendUint16(b, kind), value...)
	}
	route := func(family uint8, attrs ...[]byte) []byte {
		body := append([]byte{family, 0, 0, 0, unix.RT_TABLE_MAIN, 0, 0, unix.RTN_UNICAST, 0, 0, 0, 0}, slices.Concat(attrs...)...)
		b := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
		b = binary.NativeEndian.AppendUint16(b, unix.RTM_NEWROUTE)
		return append(append(b, make([]byte, 10)...), body...)
	}
	f.Add(route(unix.AF_INET, attr(unix.RTA_OIF, 3, 0, 0, 0), attr(unix.RTA_PRIORITY, 255, 255, 255, 255)))
	f.Add(route(unix.AF_INET6, attr(unix.RTA_MULTIPATH, 8, 0, 0, 0, 5, 0, 0, 0)))
	f.Fuzz(func(t *testing.T, data []byte) {
		for m, rest, ok := rtnl.Next(data); ok; m, rest, ok = rtnl.Next(rest) {
			four, ok4 := parseDefault(m, subnet.IPv4)
			six, ok6 := parseDefault(m, subnet.IPv6)
			if ok4 && ok6 || ok4 && four.link == 0 || ok6 && six.link == 0 {
				t.Errorf("IPv4 %v %v, IPv6 %v %v", four, ok4, six, ok6)
			}
		}
	})
}
