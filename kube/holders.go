package main

import (
	"net/netip"
	"slices"

	"github.com/podlane/podlane/subnet"
)

// holders finds overlapping pod subnets among those of thousands of Nodes. Each map has the name of the Node, or several.
type holders struct {
	lengths []int                   // of all pod subnets, each once
	exact   map[netip.Prefix]string // by a pod subnet
	within  map[netip.Prefix]string // by a pod subnet, or a larger prefix with one of the lengths
}

// several is in place of a name if more than one Node has a prefix.
const several = ""

func newHolders(members map[string]member) holders {
	h := holders{exact: make(map[netip.Prefix]string, len(members)), within: make(map[netip.Prefix]string, len(members))}
	for _, m := range members {
		for _, p := range m.subnets() {
			if !slices.Contains(h.lengths, p.Bits()) {
				h.lengths = append(h.lengths, p.Bits())
			}
		}
	}
	for name, m := range members {
		for _, p := range m.subnets() {
			record(h.exact, p, name)
			for _, length := range h.lengths {
				if length <= p.Bits() {
					record(h.within, netip.PrefixFrom(p.Addr(), length).Masked(), name)
				}
			}
		}
	}
	return h
}

func record(names map[netip.Prefix]string, p netip.Prefix, name string) {
	if old, found := names[p]; found && old != name {
		name = several
	}
	names[p] = name
}

// free reports whether a pod subnet of a Node overlaps with none of another Node.
func (h holders) free(p netip.Prefix, name string) bool {
	if h.within[p] != name {
		return false
	}
	return !slices.ContainsFunc(h.lengths, func(length int) bool {
		if length >= p.Bits() {
			return false
		}
		holder, found := h.exact[netip.PrefixFrom(p.Addr(), length).Masked()]
		return found && holder != name
	})
}

// subnets returns the podCIDRs of a Node, and its former pod subnets.
func (m member) subnets() (all []netip.Prefix) {
	for _, pair := range []subnet.Pair{m.pair, m.former.pair} {
		for _, f := range subnet.Families {
			if half := pair.Half(f); half.IsValid() {
				all = append(all, half)
			}
		}
	}
	return all
}
