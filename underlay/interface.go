// Package underlay finds the network interface that carries the tunnels between the nodes.
package underlay

import (
	"net/netip"
	"slices"

	"github.com/podlane/podlane/subnet"
)

// Interface is a network interface of the node, as a value.
type Interface struct {
	Name       string
	AltNames   []string // its further names (ip-link(8), altname)
	Index      int
	MTU        int            // in bytes; 0: not known
	Up         bool           // administratively
	NoCarrier  bool           // it is up, and the link below it is not: a cable is unplugged
	Loopback   bool           // the node itself is all it reaches
	Virtual    bool           // no packet leaves the node by it: loopback, dummy and VRF interfaces, bridges without ports
	Addrs      []netip.Prefix // its addresses with the length of their link's prefix, the preferred first
	Tunnel     netip.Addr     // of podlane's VXLAN device: the address at which its tunnels end; of others not valid
	Deprecated []netip.Addr   // those of Addrs that are not for new connections (RFC 4862 section 5.5.4)
}

// Local is the interface's first address of the family that other nodes can use: not link-local. It is not valid where
// there is none.
func (i Interface) Local(f subnet.Family) netip.Addr {
	for _, p := range i.Addrs {
		if subnet.FamilyOf(p.Addr()) == f && p.Addr().IsGlobalUnicast() {
			return p.Addr()
		}
	}
	return netip.Addr{}
}

// preferring is the interface with the addresses given, as far as it has them, before its others.
func (i Interface) preferring(known []netip.Addr) Interface {
	isKnown := func(p netip.Prefix) bool { return slices.Contains(known, p.Addr()) }
	others := slices.DeleteFunc(slices.Clone(i.Addrs), isKnown)
	i.Addrs = append(slices.DeleteFunc(slices.Clone(i.Addrs), func(p netip.Prefix) bool { return !isKnown(p) }), others...)
	return i
}

// Same reports whether two values of an interface mean the same underlay. Link-local addresses, which come and go with the
// link, do not matter to it. The order of the addresses matters only as far as it decides which one is the node's.
func (i Interface) Same(j Interface) bool {
	return i.Name == j.Name && i.Index == j.Index && i.MTU == j.MTU && slices.Equal(i.global(), j.global()) &&
		i.Local(subnet.IPv4) == j.Local(subnet.IPv4) && i.Local(subnet.IPv6) == j.Local(subnet.IPv6)
}

// global returns the interface's addresses that are not link-local, sorted.
func (i Interface) global() []netip.Prefix {
	all := slices.DeleteFunc(slices.Clone(i.Addrs), func(p netip.Prefix) bool { return !p.Addr().IsGlobalUnicast() })
	slices.SortFunc(all, netip.Prefix.Compare)
	return all
}

// HasAll reports whether the interface has all of these addresses, of which there is at least one.
func (i Interface) HasAll(addrs []netip.Addr) bool {
	return len(addrs) > 0 && !slices.ContainsFunc(addrs, func(a netip.Addr) bool { return !i.has(a) })
}

func (i Interface) has(a netip.Addr) bool {
	return slices.ContainsFunc(i.Addrs, func(p netip.Prefix) bool { return p.Addr() == a.Unmap() })
}

// OnLink tells whether an address is on the interface's own link, reached without a router.
func (i Interface) OnLink(a netip.Addr) bool {
	for _, p := range i.Addrs {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
