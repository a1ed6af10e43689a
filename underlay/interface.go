// Package underlay finds the network interface that carries the tunnels between the nodes.
package underlay

import (
	"net/netip"
	"slices"

	"github.com/podlane/podlane/subnet"
)

// Interface is a network interface of the node, as a value.
type Interface struct {
	Name     string
	Index    int
	MTU      int            // in bytes
	Up       bool           // administratively
	Loopback bool           // the node itself is all it reaches
	Addrs    []netip.Prefix // its addresses with the length of their link's prefix, the preferred first
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

// Same tells whether two values of an interface mean the same underlay. Link-local addresses, which come and go with the
// link, do not matter to it.
func (i Interface) Same(j Interface) bool {
	linkLocal := func(p netip.Prefix) bool { return !p.Addr().IsGlobalUnicast() }
	mine, others := slices.DeleteFunc(slices.Clone(i.Addrs), linkLocal), slices.DeleteFunc(slices.Clone(j.Addrs), linkLocal)
	return i.Name == j.Name && i.Index == j.Index && i.MTU == j.MTU && slices.Equal(mine, others)
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
