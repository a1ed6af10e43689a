// Package underlay finds the network interface that carries the tunnels between the nodes.
package underlay

import (
	"net/netip"
	"slices"

	"github.com/podlane/podlane/subnet"
)

// Interface describes a network interface of the node.
type Interface struct {
	Name       string
	AltNames   []string // its alternative names (ip-link(8), altname)
	Index      int
	MTU        int            // in bytes; 0: unknown
	Up         bool           // administratively up
	NoCarrier  bool           // it is up, but its link is down: a cable is unplugged
	Loopback   bool           // it reaches only the node itself
	Virtual    bool           // no packet leaves the node through it: loopback, dummy and VRF interfaces, bridges without ports
	Master     int            // index of the bridge, bond or VRF that it is a port of; 0: none
	Addrs      []netip.Prefix // with the prefix length of their link; deprecated ones last
	Tunnel     netip.Addr     // of podlane's VXLAN device: the address at which its tunnels end; otherwise not valid
	Deprecated []netip.Addr   // those of Addrs that new connections must not use (RFC 4862 section 5.5.4)
}

// Local returns the interface's first address of the family that other nodes can use. Link-local ones do not count.
// The address is not valid if there is none.
func (i Interface) Local(f subnet.Family) netip.Addr {
	for _, p := range i.Addrs {
		if subnet.FamilyOf(p.Addr()) == f && p.Addr().IsGlobalUnicast() {
			return p.Addr()
		}
	}
	return netip.Addr{}
}

// preferring returns the interface with these addresses first.
func (i Interface) preferring(known []netip.Addr) Interface {
	isKnown := func(p netip.Prefix) bool { return slices.Contains(known, p.Addr()) }
	others := slices.DeleteFunc(slices.Clone(i.Addrs), isKnown)
	i.Addrs = append(slices.DeleteFunc(slices.Clone(i.Addrs), func(p netip.Prefix) bool { return !isKnown(p) }), others...)
	return i
}

// Same reports whether two values describe the same underlay. It ignores link-local addresses, which the kernel adds and
// removes with the link. It ignores the order of the addresses unless that changes a result of Local.
func (i Interface) Same(j Interface) bool {
	return i.Name == j.Name && i.Index == j.Index && i.MTU == j.MTU && slices.Equal(i.global(), j.global()) &&
		i.Local(subnet.IPv4) == j.Local(subnet.IPv4) && i.Local(subnet.IPv6) == j.Local(subnet.IPv6)
}

// global returns the addresses that are not link-local, sorted.
func (i Interface) global() []netip.Prefix {
	all := slices.DeleteFunc(slices.Clone(i.Addrs), func(p netip.Prefix) bool { return !p.Addr().IsGlobalUnicast() })
	slices.SortFunc(all, netip.Prefix.Compare)
	return all
}

// HasAll reports whether the interface has all of these addresses, and there is at least one.
func (i Interface) HasAll(addrs []netip.Addr) bool {
	return len(addrs) > 0 && !slices.ContainsFunc(addrs, func(a netip.Addr) bool { return !i.has(a) })
}

func (i Interface) has(a netip.Addr) bool {
	return slices.ContainsFunc(i.Addrs, func(p netip.Prefix) bool { return p.Addr() == a.Unmap() })
}

// OnLink reports whether an address is on the link. Then no router is needed.
func (i Interface) OnLink(a netip.Addr) bool {
	for _, p := range i.Addrs {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
