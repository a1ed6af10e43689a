package underlay

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/kernel"
	"github.com/podlane/podlane/subnet"
)

// again repeats a dump that the kernel marks as interrupted (NLM_F_DUMP_INTR), because it may lack entries.
func again[T any](dump func() ([]T, error)) (list []T, err error) {
	err = kernel.RetryRead(netlink.ErrDumpInterrupted, func() (err error) {
		list, err = dump()
		return err
	})
	return list, err
}

// Read returns the interfaces of the calling thread's network namespace with their addresses, in the kernel's order. It
// omits addresses that other nodes cannot use reliably: temporary ones (RFC 8981), and those that duplicate address
// detection found on another machine. Tentative addresses, whose duplicate address detection still runs, come after the
// others. Deprecated ones (RFC 4862 section 5.5.4) come last: they still carry packets but may be removed soon.
func Read() ([]Interface, error) {
	links, err := again(netlink.LinkList) //nolint:forbidigo // this is the reader that tries again
	if err != nil {
		return nil, fmt.Errorf("list network interfaces: %w", err)
	}
	addrs, err := again(func() ([]netlink.Addr, error) {
		return netlink.AddrList(nil, netlink.FAMILY_ALL) //nolint:forbidigo // this is the reader that tries again
	})
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	slices.SortStableFunc(addrs, func(a, b netlink.Addr) int { return cmp.Compare(rank(a), rank(b)) })
	byIndex, deprecated := map[int][]netip.Prefix{}, map[int][]netip.Addr{}
	for _, a := range addrs {
		p, ok := prefix(a.IPNet)
		if !ok || !reliable(p.Addr(), a.Flags) {
			continue
		}
		byIndex[a.LinkIndex] = append(byIndex[a.LinkIndex], p)
		if a.Flags&unix.IFA_F_DEPRECATED != 0 {
			deprecated[a.LinkIndex] = append(deprecated[a.LinkIndex], p.Addr())
		}
	}
	hasPorts := map[int]bool{}
	for _, l := range links {
		hasPorts[l.Attrs().MasterIndex] = true
	}
	var ifaces []Interface
	for _, l := range links {
		i := parseLink(l, hasPorts[l.Attrs().Index])
		i.Addrs, i.Deprecated = byIndex[i.Index], deprecated[i.Index]
		ifaces = append(ifaces, i)
	}
	return ifaces, nil
}

// parseLink returns an interface without its addresses. hasPorts reports whether other interfaces are its ports.
func parseLink(l netlink.Link, hasPorts bool) Interface {
	a, kind := l.Attrs(), l.Type()
	up, loopback := a.RawFlags&unix.IFF_UP != 0, a.RawFlags&unix.IFF_LOOPBACK != 0
	virtual := loopback || kind == "dummy" || kind == "vrf" || kind == "bridge" && !hasPorts
	i := Interface{
		Name: a.Name, AltNames: a.AltNames, Index: a.Index, MTU: a.MTU,
		Up: up, NoCarrier: up && !virtual && a.RawFlags&unix.IFF_LOWER_UP == 0,
		Loopback: loopback, Virtual: virtual, Master: a.MasterIndex,
	}
	if v, ok := l.(*netlink.Vxlan); ok && i.ours() {
		i.Tunnel, _ = netip.AddrFromSlice(v.SrcAddr)
		i.Tunnel = i.Tunnel.Unmap()
	}
	return i
}

// rank returns the order of an address on its interface: the lowest comes first.
func rank(a netlink.Addr) int {
	switch {
	case a.Flags&unix.IFA_F_DEPRECATED != 0:
		return 2
	case a.Flags&unix.IFA_F_TENTATIVE != 0:
		return 1
	}
	return 0
}

func reliable(a netip.Addr, flags int) bool {
	if a.Is4() { // for IPv4 the same bit means: a second address of its prefix
		flags &^= unix.IFA_F_SECONDARY
	}
	return flags&(unix.IFA_F_TEMPORARY|unix.IFA_F_DADFAILED) == 0
}

func prefix(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	return netip.PrefixFrom(a.Unmap(), ones), ok
}

// RouteTo returns the index of the interface through which the kernel sends to an address. An unspecified address
// (0.0.0.0 or ::) means its family's default route. If there is no route, the error wraps ErrNoRoute.
func RouteTo(dst netip.Addr) (int, error) {
	if dst.IsUnspecified() {
		return defaultRoute(subnet.FamilyOf(dst))
	}
	routes, err := netlink.RouteGet(dst.AsSlice())
	if errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) || err == nil && len(routes) == 0 {
		return 0, fmt.Errorf("%w to %s", ErrNoRoute, dst)
	}
	if err != nil {
		return 0, fmt.Errorf("look up the route to %s: %w", dst, err)
	}
	r := routes[0]
	if r.LinkIndex == 0 && len(r.MultiPath) > 0 {
		return r.MultiPath[0].LinkIndex, nil
	}
	return r.LinkIndex, nil
}

// ErrNoRoute means that there is no route.
var ErrNoRoute = errors.New("there is no route")
