package vxlan

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/rtnl"
	"github.com/podlane/podlane/subnet"
)

// link is an existing device of any kind.
type link struct {
	index  int
	kind   string // vxlan, bridge, ...; empty for a physical one
	device device // for other kinds only name, MTU, MAC, port and up are set
}

// parseLink parses RTM_NEWLINK and RTM_DELLINK.
func parseLink(m rtnl.Message) (l link, ok bool) {
	h, attrs, ok := m.Header(unix.SizeofIfInfomsg)
	if !ok || m.Type != unix.RTM_NEWLINK && m.Type != unix.RTM_DELLINK || h[0] != unix.AF_UNSPEC {
		return l, false
	}
	l.index = int(binary.NativeEndian.Uint32(h[4:]))
	d := &l.device
	flags := binary.NativeEndian.Uint32(h[8:])
	d.up, d.off.arp = flags&unix.IFF_UP != 0, flags&unix.IFF_NOARP != 0
	d.settings = settings{absent, absent, absent, absent}
	for attrs.Next() {
		switch attrs.Type {
		case unix.IFLA_IFNAME:
			d.name = attrs.Text()
		case unix.IFLA_MTU:
			d.mtu = int(attrs.Uint32())
		case unix.IFLA_ADDRESS:
			if len(attrs.Value) == len(d.mac) {
				d.mac = subnet.MAC(attrs.Value)
			}
		case unix.IFLA_MASTER:
			d.master = attrs.Uint32()
		case unix.IFLA_PROTO_DOWN:
			d.off.carrier = attrs.Uint8() != 0
		case unix.IFLA_AF_SPEC:
			d.settings = parseSettings(attrs.Nested())
		case unix.IFLA_LINKINFO:
			l.kind = parseInfo(d, attrs.Nested())
		}
	}
	return l, true
}

// parseInfo parses IFLA_LINKINFO and returns the device's kind. The kernel puts the kind first.
func parseInfo(d *device, attrs rtnl.Attrs) (kindOf string) {
	for attrs.Next() {
		switch attrs.Type {
		case unix.IFLA_INFO_KIND:
			kindOf = attrs.Text()
		case unix.IFLA_INFO_DATA:
			if kindOf == linkKind {
				parseVXLAN(d, attrs.Nested())
			}
		}
	}
	return kindOf
}

func parseVXLAN(d *device, attrs rtnl.Attrs) {
	for attrs.Next() {
		switch attrs.Type {
		case unix.IFLA_VXLAN_ID:
			d.fixed.vni = attrs.Uint32()
		case unix.IFLA_VXLAN_PORT:
			d.fixed.port = attrs.Port()
		case unix.IFLA_VXLAN_LOCAL, unix.IFLA_VXLAN_LOCAL6:
			d.local = attrs.Addr()
			d.fixed.family = familyOfAttr(attrs.Type)
		case unix.IFLA_VXLAN_LEARNING:
			d.learning = attrs.Uint8() != 0
		case unix.IFLA_VXLAN_GROUP, unix.IFLA_VXLAN_GROUP6:
			d.outer.group = attrs.Addr()
		case unix.IFLA_VXLAN_TTL:
			d.outer.ttl = attrs.Uint8()
		case unix.IFLA_VXLAN_DF:
			d.outer.df = attrs.Uint8()
		case unix.IFLA_VXLAN_GBP:
			d.fixed.gbp = true
		default:
			d.fixed.unsupported = d.fixed.unsupported || unsupportedAttr(attrs)
		}
	}
}

// unsupportedAttr reports whether an attribute has a value that podlane's devices never have.
func unsupportedAttr(a rtnl.Attrs) bool {
	switch a.Type {
	case unix.IFLA_VXLAN_LINK, unix.IFLA_VXLAN_LIMIT: // with a limit the kernel refuses peers above it
		return a.Uint32() != 0
	case unix.IFLA_VXLAN_UDP_CSUM:
		return a.Uint8() == 0
	case unix.IFLA_VXLAN_GPE, unix.IFLA_VXLAN_REMCSUM_NOPARTIAL:
		return true
	case unix.IFLA_VXLAN_TTL_INHERIT, unix.IFLA_VXLAN_PROXY, unix.IFLA_VXLAN_RSC, unix.IFLA_VXLAN_L2MISS, unix.IFLA_VXLAN_L3MISS,
		unix.IFLA_VXLAN_UDP_ZERO_CSUM6_TX, unix.IFLA_VXLAN_UDP_ZERO_CSUM6_RX, unix.IFLA_VXLAN_REMCSUM_TX,
		unix.IFLA_VXLAN_REMCSUM_RX, unix.IFLA_VXLAN_COLLECT_METADATA, unix.IFLA_VXLAN_VNIFILTER:
		return a.Uint8() != 0
	}
	return false
}

func parseSettings(families rtnl.Attrs) settings {
	s := settings{absent, absent, absent, absent}
	for families.Next() {
		inner := families.Nested()
		for inner.Next() {
			switch {
			case families.Type == unix.AF_INET && inner.Type == unix.IFLA_INET_CONF:
				s.rpFilter = settingAt(inner, devconfRPFilter)
				s.forwarding = settingAt(inner, devconfForwarding)
			case families.Type == unix.AF_INET6 && inner.Type == unix.IFLA_INET6_ADDR_GEN_MODE:
				s.addrGen = setting(inner.Uint8())
			case families.Type == unix.AF_INET6 && inner.Type == unix.IFLA_INET6_CONF:
				s.noIPv6 = settingAt(inner, devconfNoIPv6)
			}
		}
	}
	return s
}

func settingAt(a rtnl.Attrs, i int) setting {
	v, ok := a.Array32(i)
	if !ok {
		return absent
	}
	return setting(v)
}

func familyOfAttr(local uint16) subnet.Family {
	if local == unix.IFLA_VXLAN_LOCAL6 {
		return subnet.IPv6
	}
	return subnet.IPv4
}
