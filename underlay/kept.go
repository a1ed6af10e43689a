package underlay

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/podlane/podlane/subnet"
)

// withKept returns the interface with the addresses at which the tunnels end. If no interface has all of them, it returns
// one that has some, and other addresses of the missing families. This happens when the IPv6 prefix changes. If several
// interfaces have them, as while eth0 becomes a port of br0, it returns that of the default route.
func (c chooser) withKept(kept []netip.Addr) (Interface, error) {
	has := func(i Interface) bool { return i.HasAll(kept) }
	all := c.holders(has)
	if len(all) == 0 {
		has = func(i Interface) bool { return i.hasSomeOf(kept) }
		all = c.holders(has)
	}
	if len(all) == 0 {
		return Interface{}, fmt.Errorf("no interface has the address by which the other nodes know this one, %s", join(kept))
	}
	if len(all) > 1 && all[1].Up {
		if d, err := c.byDefault(); err == nil && has(d) {
			return d, nil
		}
	}
	return all[0], usable(all[0])
}

// hasSomeOf reports whether the interface has some of these addresses. For each missing one it must have another
// address of the same family.
func (i Interface) hasSomeOf(addrs []netip.Addr) bool {
	return slices.ContainsFunc(addrs, i.has) &&
		!slices.ContainsFunc(addrs, func(a netip.Addr) bool { return !i.Local(subnet.FamilyOf(a)).IsValid() })
}

// holders returns the interfaces that has accepts, except podlane's own. They are sorted: up and not virtual, up and
// virtual, down. An address may also be on lo, so that the node accepts a load balancer's packets.
func (c chooser) holders(has func(Interface) bool) []Interface {
	all := slices.DeleteFunc(slices.Clone(c.ifaces), func(i Interface) bool { return i.ours() || !has(i) })
	worse := func(i Interface) int {
		switch {
		case !i.Up:
			return 2
		case i.Virtual:
			return 1
		}
		return 0
	}
	slices.SortStableFunc(all, func(a, b Interface) int { return worse(a) - worse(b) })
	return all
}

// Notes returns notes about a working underlay if no default route leads to it, or if an address that peers know is
// deprecated. route is RouteTo.
func Notes(ifaces []Interface, want Want, inUse Interface, route func(netip.Addr) (index int, err error)) (notes []string) {
	stays := fmt.Sprintf("the underlay stays %s (%s), whose address the other nodes know", inUse.Name, join(want.Kept))
	if !want.named() && !inUse.has(want.PublicIP) {
		d, err := chooser{ifaces, route}.byDefault()
		switch {
		case err != nil:
			notes = append(notes, "no default route leads to a usable interface: "+stays)
		case d.Index != inUse.Index:
			notes = append(notes, fmt.Sprintf("the default route leads to %s: %s; to move it, start podlaned with --iface=%s: a restart alone does not move it",
				d.Name, stays, d.Name))
		}
	}
	for _, a := range want.Kept {
		if slices.Contains(inUse.Deprecated, a) {
			notes = append(notes, fmt.Sprintf("the address %s of underlay %s is deprecated: when it is removed, the node is cut off until its peers know another",
				a, inUse.Name))
		}
	}
	return notes
}

func join(addrs []netip.Addr) string {
	var texts []string
	for _, a := range addrs {
		texts = append(texts, a.String())
	}
	return strings.Join(texts, ", ")
}
