package vxlan

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/rtnl"
	"github.com/podlane/podlane/subnet"
)

// Parsers of messages. They do not copy a message.

// parseNeighbour parses RTM_NEWNEIGH of an IP family. It returns false for the kernel's own entries (NOARP:
// multicast) and for entries without a MAC. The MAC is zero if the entry is not permanent.
func parseNeighbour(m rtnl.Message, f subnet.Family, index int) (a netip.Addr, mac subnet.MAC, ok bool) {
	h, attrs, ok := m.Header(unix.SizeofNdMsg)
	if !ok || m.Type != unix.RTM_NEWNEIGH || h[0] != socketFamily[f] || ndIndex(h) != index {
		return a, mac, false
	}
	state := binary.NativeEndian.Uint16(h[8:])
	if state == unix.NUD_NONE || state&(unix.NUD_NOARP|unix.NUD_INCOMPLETE|unix.NUD_FAILED) != 0 {
		return a, mac, false
	}
	for attrs.Next() {
		switch attrs.Type {
		case unix.NDA_DST:
			a = attrs.Addr()
		case unix.NDA_LLADDR:
			if state == unix.NUD_PERMANENT && len(attrs.Value) == len(mac) {
				mac = subnet.MAC(attrs.Value)
			}
		}
	}
	return a, mac, a.IsValid() && subnet.FamilyOf(a) == f
}

// fdbEntry is one destination of one entry.
type fdbEntry struct {
	mac     subnet.MAC
	dst     netip.Addr // not valid if the entry is unlike ours: it is not permanent, or has another port, VNI or interface
	nexthop bool       // the entry points to a next hop object; the kernel cannot replace it in place
	learned bool       // from traffic: it ages
}

// The id of a next hop object in an FDB entry and in a route (linux/neighbour.h, linux/rtnetlink.h).
const (
	ndaNHID = 13 // NDA_NH_ID
	rtaNHID = 30 // RTA_NH_ID
)

// parseFDB parses RTM_NEWNEIGH of the bridge family.
func parseFDB(m rtnl.Message, index int) (e fdbEntry, ok bool) {
	h, attrs, ok := m.Header(unix.SizeofNdMsg)
	if !ok || m.Type != unix.RTM_NEWNEIGH || h[0] != unix.AF_BRIDGE || ndIndex(h) != index {
		return e, false
	}
	plain := binary.NativeEndian.Uint16(h[8:])&unix.NUD_PERMANENT != 0
	e.learned = !plain
	for attrs.Next() {
		switch attrs.Type {
		case unix.NDA_LLADDR:
			if len(attrs.Value) != len(e.mac) {
				return e, false
			}
			e.mac = subnet.MAC(attrs.Value)
		case unix.NDA_DST:
			e.dst = attrs.Addr()
		case unix.NDA_PORT, unix.NDA_VNI, unix.NDA_IFINDEX: // present only if they differ from the device's
			plain = false
		case ndaNHID:
			e.nexthop = true
		}
	}
	if !plain {
		e.dst = netip.Addr{}
	}
	return e, true
}

func ndIndex(h []byte) int { return int(int32(binary.NativeEndian.Uint32(h[4:]))) } //nolint:gosec // signed in struct ndmsg

// tableRoute is a route of any table and owner. Links are the kernel's indexes.
type tableRoute struct {
	key        routeKey
	route      route
	unlikeOurs bool // it has a type, a scope or an attribute that our routes never have
	dead       bool // its interface is down: the kernel ignores it
	protocol   uint8
	routeType  uint8 // unix.RTN_...
	table      uint32
}

// parseRoute parses RTM_NEWROUTE and RTM_DELROUTE.
func parseRoute(m rtnl.Message, f subnet.Family) (r tableRoute, ok bool) {
	h, attrs, ok := m.Header(unix.SizeofRtMsg)
	if !ok || m.Type != unix.RTM_NEWROUTE && m.Type != unix.RTM_DELROUTE || h[0] != socketFamily[f] {
		return r, false
	}
	flags := binary.NativeEndian.Uint32(h[8:])
	r.key.tos, r.table, r.protocol, r.routeType = h[3], uint32(h[4]), h[5], h[7]
	r.unlikeOurs = h[6] != unix.RT_SCOPE_UNIVERSE || h[7] != unix.RTN_UNICAST
	r.dead, r.route.onlink = flags&unix.RTNH_F_DEAD != 0, flags&unix.RTNH_F_ONLINK != 0
	dst := unspecified(f)
	for attrs.Next() {
		switch attrs.Type {
		case unix.RTA_DST:
			dst = attrs.Addr()
		case unix.RTA_TABLE:
			r.table = attrs.Uint32()
		case unix.RTA_PRIORITY:
			r.key.metric = attrs.Uint32()
		case unix.RTA_GATEWAY:
			r.route.via = attrs.Addr()
		case unix.RTA_OIF:
			r.route.link = int(attrs.Uint32())
		case unix.RTA_MULTIPATH, rtaNHID, unix.RTA_VIA, unix.RTA_ENCAP, unix.RTA_PREFSRC, unix.RTA_METRICS:
			r.unlikeOurs = true
		}
	}
	r.key.prefix = netip.PrefixFrom(dst, int(h[1]))
	return r, r.key.prefix.IsValid() && subnet.FamilyOf(dst) == f
}

// ours returns the route for the comparison. It is zero if podlane makes no such route.
func (r tableRoute) ours() route {
	if r.unlikeOurs || !r.route.via.IsValid() {
		return route{}
	}
	return r.route
}

// parseAddress parses RTM_NEWADDR and RTM_DELADDR. It returns the address with its prefix length, and the index of
// its interface.
func parseAddress(m rtnl.Message) (p netip.Prefix, index int, ok bool) {
	h, attrs, ok := m.Header(unix.SizeofIfAddrmsg)
	if !ok || m.Type != unix.RTM_NEWADDR && m.Type != unix.RTM_DELADDR {
		return p, 0, false
	}
	var addr, local netip.Addr // IPv6 has no IFA_LOCAL unless the address has a peer
	for attrs.Next() {
		switch attrs.Type {
		case unix.IFA_LOCAL:
			local = attrs.Addr()
		case unix.IFA_ADDRESS:
			addr = attrs.Addr()
		}
	}
	if !local.IsValid() {
		local = addr
	}
	p = netip.PrefixFrom(local, int(h[1]))
	return p, int(binary.NativeEndian.Uint32(h[4:])), p.IsValid()
}
