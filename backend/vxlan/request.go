package vxlan

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/rtnl"
	"github.com/podlane/podlane/subnet"
)

const (
	// linkKind is the kernel's name for a VXLAN device (IFLA_INFO_KIND).
	linkKind = "vxlan"
	// protocol marks routes as podlane's (rtm_protocol). A name for it can be added to /etc/iproute2/rt_protos.d.
	protocol = 112
	// putFlags add an entry or replace it in place.
	putFlags = unix.NLM_F_CREATE | unix.NLM_F_REPLACE
)

// ndmsg returns the header of neighbour and FDB requests (struct ndmsg). FDB entries have the family AF_BRIDGE and
// the flag NTF_SELF. They belong to the device itself, not to a bridge of which it is a port.
func ndmsg(family uint8, index int, state uint16, flags uint8) []byte {
	h := make([]byte, unix.SizeofNdMsg)
	h[0] = family
	binary.NativeEndian.PutUint32(h[4:], uint32(index)) //nolint:gosec // the kernel's interface indexes are positive
	binary.NativeEndian.PutUint16(h[8:], state)
	h[10] = flags
	return h
}

func putNeighbour(b *rtnl.Batch, index int, a netip.Addr, mac subnet.MAC) {
	b.Start(unix.RTM_NEWNEIGH, putFlags, ndmsg(addressFamily(a), index, unix.NUD_PERMANENT, 0)...)
	b.Addr(unix.NDA_DST, a)
	b.Bytes(unix.NDA_LLADDR, mac[:])
}

func deleteNeighbour(b *rtnl.Batch, index int, a netip.Addr) {
	b.Start(unix.RTM_DELNEIGH, 0, ndmsg(addressFamily(a), index, 0, 0)...)
	b.Addr(unix.NDA_DST, a)
}

// putFDB writes an entry. by is the interface through which the kernel must reach the destination; 0: any.
func putFDB(b *rtnl.Batch, index int, mac subnet.MAC, dst netip.Addr, by int) {
	b.Start(unix.RTM_NEWNEIGH, putFlags, ndmsg(unix.AF_BRIDGE, index, unix.NUD_PERMANENT, unix.NTF_SELF)...)
	b.Bytes(unix.NDA_LLADDR, mac[:])
	b.Addr(unix.NDA_DST, dst)
	if by != 0 {
		b.Uint32(unix.NDA_IFINDEX, uint32(by)) //nolint:gosec // as in ndmsg
	}
}

// deleteFDB deletes an entry with all its destinations.
func deleteFDB(b *rtnl.Batch, index int, mac subnet.MAC) {
	b.Start(unix.RTM_DELNEIGH, 0, ndmsg(unix.AF_BRIDGE, index, 0, unix.NTF_SELF)...)
	b.Bytes(unix.NDA_LLADDR, mac[:])
}

// putRoute writes a route. It replaces any route with its prefix and metric, because the metrics are podlane's. A
// route of another program in its place lacks our protocol.
func putRoute(b *rtnl.Batch, k routeKey, r route, link int) {
	var flags uint32
	if r.onlink {
		flags = unix.RTNH_F_ONLINK
	}
	startRoute(b, unix.RTM_NEWROUTE, putFlags, k, unix.RT_SCOPE_UNIVERSE, unix.RTN_UNICAST, flags)
	b.Addr(unix.RTA_GATEWAY, r.via)
	b.Uint32(unix.RTA_OIF, uint32(link)) //nolint:gosec // the kernel's interface indexes are positive
}

// deleteRoute deletes a route of ours. If the next hop is given, it deletes exactly that one of several routes with
// the same key.
func deleteRoute(b *rtnl.Batch, k routeKey, r route, link int) {
	startRoute(b, unix.RTM_DELROUTE, 0, k, unix.RT_SCOPE_NOWHERE, unix.RTN_UNSPEC, 0)
	if r.via.IsValid() {
		b.Addr(unix.RTA_GATEWAY, r.via)
		b.Uint32(unix.RTA_OIF, uint32(link)) //nolint:gosec // as in putRoute
	}
}

func startRoute(b *rtnl.Batch, request, flags uint16, k routeKey, scope, what uint8, rtnh uint32) {
	h := []byte{
		addressFamily(k.prefix.Addr()), uint8(k.prefix.Bits()), 0, k.tos, //nolint:gosec // at most 128
		unix.RT_TABLE_MAIN, protocol, scope, what, 0, 0, 0, 0,
	}
	binary.NativeEndian.PutUint32(h[8:], rtnh)
	b.Start(request, flags, h...)
	if k.prefix.Bits() > 0 {
		b.Addr(unix.RTA_DST, k.prefix.Addr())
	}
	b.Uint32(unix.RTA_PRIORITY, k.metric)
}

// address requests the addition or removal of an address of a device. IPv6 addresses are usable at once (nodad). No
// other node can have an address of our pod subnet, and no node would answer.
func address(b *rtnl.Batch, request, flags uint16, index int, p netip.Prefix) {
	h := []byte{addressFamily(p.Addr()), uint8(p.Bits()), unix.IFA_F_NODAD, unix.RT_SCOPE_UNIVERSE, 0, 0, 0, 0} //nolint:gosec // at most 128
	if p.Addr().Is4() {
		h[2] = 0
	}
	binary.NativeEndian.PutUint32(h[4:], uint32(index)) //nolint:gosec // as in ndmsg
	b.Start(request, flags, h...)
	b.Addr(unix.IFA_LOCAL, p.Addr())
	b.Addr(unix.IFA_ADDRESS, p.Addr())
}

// ifinfo returns the header of link requests (struct ifinfomsg): flags, masked by change.
func ifinfo(index int, flags, change uint32) []byte {
	h := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(h[4:], uint32(index)) //nolint:gosec // as in ndmsg
	binary.NativeEndian.PutUint32(h[8:], flags)
	binary.NativeEndian.PutUint32(h[12:], change)
	return h
}

func addressFamily(a netip.Addr) uint8 {
	return socketFamily[subnet.FamilyOf(a)]
}

var socketFamily = [len(subnet.Families)]uint8{subnet.IPv4: unix.AF_INET, subnet.IPv6: unix.AF_INET6}
