package vxlan

import (
	"math"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/rtnl"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/underlay"
)

// device is an existing or a wanted VXLAN device. The kernel cannot change the field fixed in place; it can change the
// others.
type device struct {
	name     string
	fixed    fixed
	local    netip.Addr // outer source address
	learning bool
	mtu      int // in bytes
	mac      subnet.MAC
	master   uint32 // index of the bridge or VRF whose port it is; 0: none
	up       bool
	settings settings
	outer    outer
	off      off
}

// outer holds settings of the outer header. We use the kernel's defaults, and revert changes by other programs. It omits
// the type of service and the flow label: an operator may mark the tunnel's packets.
type outer struct {
	group netip.Addr // destination of packets without an FDB entry; not valid: they are dropped
	ttl   uint8      // 0: the kernel's default
	df    uint8      // 0: may be fragmented
}

// off holds what another program may turn off. Either makes the device carry no packets.
type off struct {
	arp     bool // IFF_NOARP: the neighbours' MACs are not used
	carrier bool // IFLA_PROTO_DOWN, Linux 4.3
}

// fixed holds the attributes that can be set only when the device is created.
type fixed struct {
	family      subnet.Family // of the outer header
	vni         uint32
	port        uint16
	gbp         bool
	unsupported bool // it has an attribute that we never set: a bound link, collected metadata, a limit, other checksums
}

// settings holds what we set in net.ipv4.conf and net.ipv6.conf. They are set through netlink. This works even with a
// read-only /proc/sys, as in most containers.
type settings struct {
	rpFilter   setting // net.ipv4.conf.DEVICE.rp_filter
	forwarding setting // net.ipv4.conf.DEVICE.forwarding; netlink has no IPv6 counterpart
	addrGen    setting // net.ipv6.conf.DEVICE.addr_gen_mode
	noIPv6     setting // net.ipv6.conf.DEVICE.disable_ipv6; netlink reads it but cannot set it
}

// setting is a number, or absent. Absent means that we do not set it, or that the kernel runs without the family.
type setting int

const absent setting = -1

const (
	devconfForwarding = 1  // IPV4_DEVCONF_FORWARDING of linux/ip.h
	devconfRPFilter   = 8  // IPV4_DEVCONF_RP_FILTER
	devconfNoIPv6     = 27 // DEVCONF_DISABLE_IPV6 of linux/ipv6.h, counted from 1
	rpFilterLoose     = 2
	addrGenNone       = 1 // IN6_ADDR_GEN_MODE_NONE
)

// wantDevice returns the device that a family should have.
//
// Its reverse-path filter is loose. A process on a peer may send from the peer's underlay address. Such a packet
// arrives through the tunnel, but the route back to that address is the underlay.
//
// The device has no link-local address, which the kernel would use for router solicitations and MLD. No node would
// answer, because no FDB entry leads to all peers.
func wantDevice(f subnet.Family, n subnet.Network, u underlay.Interface, own subnet.Endpoint) device {
	mtu, _ := overlayMTU(n, u) // New has checked the error
	d := device{
		name:     DeviceName(f, n.VXLAN.VNI),
		fixed:    fixed{family: f, vni: n.VXLAN.VNI, port: n.VXLAN.Port, gbp: n.VXLAN.GBP},
		local:    localAddr(f, u, own),
		learning: n.VXLAN.Learning,
		mtu:      mtu,
		mac:      own.MAC,
		up:       true,
		settings: settings{rpFilter: absent, forwarding: absent, addrGen: addrGenNone, noIPv6: absent},
	}
	if f == subnet.IPv4 {
		d.settings.rpFilter, d.settings.forwarding = rpFilterLoose, 1
	} else {
		d.settings.noIPv6 = 0
	}
	return d
}

// localAddr returns the source address of our outer packets: the address that peers know. Behind NAT, the underlay does
// not have that address, and localAddr returns the underlay's own.
func localAddr(f subnet.Family, u underlay.Interface, own subnet.Endpoint) netip.Addr {
	for _, p := range u.Addrs {
		if p.Addr() == own.PublicIP {
			return own.PublicIP
		}
	}
	return u.Local(f)
}

// change is one change of a device.
type change struct {
	verb, what string // what: in an operator's words, after "link NAME"
	request    func(b *rtnl.Batch)
}

// deviceChanges returns the changes from the existing device to the wanted one, in the order of execution. It is
// pure. Both devices have the same fixed part.
func deviceChanges(index int, have, want device) []change {
	var cs []change
	set := func(differs bool, what string, fill func(b *rtnl.Batch)) {
		if differs {
			cs = append(cs, change{"set", what, func(b *rtnl.Batch) { startLink(b, 0, index, 0, 0); fill(b) }})
		}
	}
	set(have.master != want.master, "nomaster", func(b *rtnl.Batch) { b.Uint32(unix.IFLA_MASTER, want.master) })
	set(have.mtu != want.mtu, mtuText(want), func(b *rtnl.Batch) { b.Uint32(unix.IFLA_MTU, uint32(want.mtu)) }) //nolint:gosec // at most 65535
	set(have.mac != want.mac, "address "+want.mac.String(), func(b *rtnl.Batch) { b.Bytes(unix.IFLA_ADDRESS, want.mac[:]) })
	set(have.local != want.local, "local "+want.local.String(), func(b *rtnl.Batch) {
		vxlanInfo(b, func() { b.Addr(localAttr(want.fixed.family), want.local) })
	})
	set(have.learning != want.learning, learningText(want), func(b *rtnl.Batch) {
		vxlanInfo(b, func() { b.Uint8(unix.IFLA_VXLAN_LEARNING, bit(want.learning)) })
	})
	set(have.outer.group != want.outer.group, "remote "+unspecified(want.fixed.family).String(), func(b *rtnl.Batch) {
		vxlanInfo(b, func() { b.Addr(groupAttr(want.fixed.family), unspecified(want.fixed.family)) })
	})
	set(have.outer.ttl != want.outer.ttl, "ttl auto", func(b *rtnl.Batch) {
		vxlanInfo(b, func() { b.Uint8(unix.IFLA_VXLAN_TTL, want.outer.ttl) })
	})
	set(have.outer.df != want.outer.df, "df unset", func(b *rtnl.Batch) {
		vxlanInfo(b, func() { b.Uint8(unix.IFLA_VXLAN_DF, want.outer.df) })
	})
	set(have.off.carrier != want.off.carrier, "protodown off", clearProtoDown)
	if have.off.arp != want.off.arp {
		cs = append(cs, change{"set", "arp on", func(b *rtnl.Batch) { startLink(b, 0, index, 0, unix.IFF_NOARP) }})
	}
	return append(cs, settingChanges(index, have.settings, want.settings)...)
}

func settingChanges(index int, have, want settings) (cs []change) {
	for _, s := range []struct {
		have, want setting
		what       string
		fill       func(b *rtnl.Batch)
	}{
		{have.rpFilter, want.rpFilter, "rp_filter loose", inetConf(devconfRPFilter, want.rpFilter)},
		{have.forwarding, want.forwarding, "forwarding on", inetConf(devconfForwarding, want.forwarding)},
		{have.addrGen, want.addrGen, "addrgenmode none", addrGenMode(want.addrGen)},
	} {
		if s.want != absent && s.have != absent && s.want != s.have {
			cs = append(cs, change{"set", s.what, func(b *rtnl.Batch) { startLink(b, 0, index, 0, 0); s.fill(b) }})
		}
	}
	return cs
}

// setUp is the last change. Addresses and settings come first, so that the kernel makes no link-local address.
func setUp(index int) change {
	return change{"set", "up", func(b *rtnl.Batch) { startLink(b, 0, index, unix.IFF_UP, unix.IFF_UP) }}
}

// create requests a device with all its attributes at once. Setting the MAC later would flush the neighbours. The
// device is not bound to an underlay interface (dev): the kernel would delete it together with that interface.
func create(b *rtnl.Batch, d device) {
	startLink(b, unix.NLM_F_CREATE|unix.NLM_F_EXCL, 0, 0, 0)
	b.String(unix.IFLA_IFNAME, d.name)
	b.Uint32(unix.IFLA_MTU, uint32(d.mtu)) //nolint:gosec // at most 65535
	b.Bytes(unix.IFLA_ADDRESS, d.mac[:])
	vxlanInfo(b, func() {
		b.Uint32(unix.IFLA_VXLAN_ID, d.fixed.vni)
		b.Port(unix.IFLA_VXLAN_PORT, d.fixed.port)
		b.Addr(localAttr(d.fixed.family), d.local)
		b.Uint8(unix.IFLA_VXLAN_LEARNING, bit(d.learning))
		if d.fixed.gbp {
			b.Bytes(unix.IFLA_VXLAN_GBP, nil)
		}
	})
}

func deleteLink(b *rtnl.Batch, index int) {
	b.Start(unix.RTM_DELLINK, 0, ifinfo(index, 0, 0)...)
}

func startLink(b *rtnl.Batch, flags uint16, index int, up, change uint32) {
	b.Start(unix.RTM_NEWLINK, flags, ifinfo(index, up, change)...)
}

func vxlanInfo(b *rtnl.Batch, fill func()) {
	b.Nest(unix.IFLA_LINKINFO, func() {
		b.String(unix.IFLA_INFO_KIND, linkKind)
		b.Nest(unix.IFLA_INFO_DATA, fill)
	})
}

func inetConf(option uint16, value setting) func(b *rtnl.Batch) {
	return func(b *rtnl.Batch) {
		b.Nest(unix.IFLA_AF_SPEC, func() {
			b.Nest(unix.AF_INET, func() {
				b.Nest(unix.IFLA_INET_CONF, func() { b.Uint32(option, uint32(value)) }) //nolint:gosec // 1 or 2
			})
		})
	}
}

func addrGenMode(value setting) func(b *rtnl.Batch) {
	return func(b *rtnl.Batch) {
		b.Nest(unix.IFLA_AF_SPEC, func() {
			b.Nest(unix.AF_INET6, func() { b.Uint8(unix.IFLA_INET6_ADDR_GEN_MODE, uint8(value)) }) //nolint:gosec // 1
		})
	}
}

// clearProtoDown clears protodown and all its reasons. While there is a reason, the kernel refuses.
func clearProtoDown(b *rtnl.Batch) {
	b.Nest(unix.IFLA_PROTO_DOWN_REASON, func() {
		b.Uint32(unix.IFLA_PROTO_DOWN_REASON_MASK, math.MaxUint32)
		b.Uint32(unix.IFLA_PROTO_DOWN_REASON_VALUE, 0)
	})
	b.Uint8(unix.IFLA_PROTO_DOWN, 0)
}

// unspecified returns a family's unspecified address. As a device's remote it removes the default destination.
func unspecified(f subnet.Family) netip.Addr {
	if f == subnet.IPv4 {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

func groupAttr(f subnet.Family) uint16 {
	if f == subnet.IPv4 {
		return unix.IFLA_VXLAN_GROUP
	}
	return unix.IFLA_VXLAN_GROUP6
}

func localAttr(f subnet.Family) uint16 {
	if f == subnet.IPv4 {
		return unix.IFLA_VXLAN_LOCAL
	}
	return unix.IFLA_VXLAN_LOCAL6
}

func bit(on bool) uint8 {
	if on {
		return 1
	}
	return 0
}
