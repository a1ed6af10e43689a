package bridge

import (
	"net/netip"
	"slices"

	"github.com/podlane/podlane/subnet"
)

// device is a bridge in the kernel.
type device struct {
	name    string
	index   int
	up      bool
	noIPv6  bool                       // net.ipv6.conf.NAME.disable_ipv6
	addrs   []netip.Prefix             // of both families
	visible [len(subnet.Families)]bool // connection tracking sees the packets that the bridge forwards
}

// port is an interface that may be the host's end of a pod's link.
type port struct {
	name   string
	master int  // index of its bridge; 0: none
	veth   bool // whose other end is in another network namespace
}

// snapshot holds what was read from the kernel.
type snapshot struct {
	bridges []device
	ports   []port
}

func (s snapshot) bridge(name string) (device, bool) {
	return s.find(func(d device) bool { return d.name == name })
}

func (s snapshot) find(is func(device) bool) (device, bool) {
	i := slices.IndexFunc(s.bridges, is)
	if i < 0 {
		return device{}, false
	}
	return s.bridges[i], true
}

// attached reports whether a bridge has ports. They count as pods.
func (s snapshot) attached(index int) bool {
	return slices.ContainsFunc(s.ports, func(p port) bool { return p.master == index })
}

// unbridged returns the veth interfaces that lead to another namespace and are not ports of a bridge.
func (s snapshot) unbridged() (names []string) {
	for _, p := range s.ports {
		if p.veth && p.master == 0 {
			names = append(names, p.name)
		}
	}
	return names
}

// fix holds what a bridge lacks.
type fix struct {
	device device
	ipv6   bool // IPv6 must be enabled
	addrs  []netip.Prefix
	up     bool
}

// next returns the known bridges after a read, and what to restore. others are the interfaces that had no bridge before one
// was deleted. It is pure.
func next(known []Bridge, others []string, have snapshot, own subnet.Pair) (now []Bridge, fixes []fix) {
	cut := slices.DeleteFunc(have.unbridged(), func(name string) bool { return slices.Contains(others, name) })
	for _, b := range known {
		d, exists := have.find(func(d device) bool { return d.index == b.Index })
		if exists {
			b.Name = d.name // it may have been renamed
		} else {
			d, exists = have.bridge(b.Name)
		}
		if b.Index != 0 && (!exists || d.index != b.Index) { // deleted, and perhaps created again for the next pod
			if b.Used {
				b.Cut = append(slices.Clone(b.Cut), cut...)
			}
			b.Index, b.Addrs, b.Used = 0, nil, false
		}
		b.Cut = slices.DeleteFunc(slices.Clone(b.Cut), func(name string) bool { return !slices.Contains(have.unbridged(), name) })
		slices.Sort(b.Cut)
		b.Cut = slices.Compact(b.Cut)
		if len(b.Cut) == 0 {
			b.Cut, b.Pods = nil, nil
		}
		if b.Index == 0 && exists && hasOwn(d.addrs, own) {
			b.Index = d.index
		}
		if b.Index != 0 {
			var f fix
			b.Used = have.attached(d.index)
			b.Addrs, f = lacks(b.Addrs, d, b.Used, own)
			if f.any() {
				fixes = append(fixes, f)
			}
		}
		if b.Index != 0 && hasOwn(b.Addrs, own) || len(b.Cut) > 0 {
			now = append(now, b)
		}
	}
	for _, d := range have.bridges {
		if hasOwn(d.addrs, own) && !slices.ContainsFunc(now, func(b Bridge) bool { return b.Name == d.name }) {
			used := have.attached(d.index)
			addrs, f := lacks(nil, d, used, own)
			if f.any() {
				fixes = append(fixes, f)
			}
			now = append(now, Bridge{Name: d.name, Index: d.index, Addrs: addrs, Used: used})
		}
	}
	return now, fixes
}

func (f fix) any() bool { return f.ipv6 || f.up || len(f.addrs) > 0 }

// lacks returns the addresses that a bridge should have, and what it lacks. A bridge without ports lacks nothing: a program
// that removes a bridge begins with its addresses. A link-local address is restored if there is none: without one the
// kernel resolves no IPv6 neighbour for forwarded packets.
func lacks(wanted []netip.Prefix, d device, attached bool, own subnet.Pair) (addrs []netip.Prefix, f fix) {
	has := func(a netip.Prefix) bool {
		return slices.ContainsFunc(d.addrs, func(b netip.Prefix) bool { return a.Addr() == b.Addr() })
	}
	linkLocal := slices.ContainsFunc(d.addrs, isLinkLocal)
	for _, a := range d.addrs {
		if isOwn(a, own) || isLinkLocal(a) {
			addrs = append(addrs, a)
		}
	}
	if !attached {
		return addrs, f
	}
	f.device, f.up = d, !d.up
	for _, a := range wanted {
		if has(a) || isLinkLocal(a) && linkLocal || !isLinkLocal(a) && !isOwn(a, own) {
			continue
		}
		addrs, f.addrs = append(addrs, a), append(f.addrs, a)
		f.ipv6 = f.ipv6 || a.Addr().Is6() && d.noIPv6
	}
	slices.SortFunc(addrs, netip.Prefix.Compare)
	slices.SortStableFunc(f.addrs, linkLocalFirst)
	return addrs, f
}

// linkLocalFirst orders addresses for adding, the link-local one first. The other address creates the route to the pods. Then
// the kernel resolves the pods' addresses, with the link-local address as source. Without that it tries again only after a
// second.
func linkLocalFirst(a, b netip.Prefix) int {
	switch {
	case isLinkLocal(a) == isLinkLocal(b):
		return 0
	case isLinkLocal(a):
		return -1
	}
	return 1
}

func hasOwn(addrs []netip.Prefix, own subnet.Pair) bool {
	return slices.ContainsFunc(addrs, func(a netip.Prefix) bool { return isOwn(a, own) })
}

// isOwn reports whether an address is in this node's pod subnets and not the first one, which the overlay device has.
func isOwn(a netip.Prefix, own subnet.Pair) bool {
	half := own.Half(subnet.FamilyOf(a.Addr()))
	return half.IsValid() && half.Contains(a.Addr()) && a.Addr() != half.Addr()
}

func isLinkLocal(a netip.Prefix) bool { return a.Addr().Is6() && a.Addr().IsLinkLocalUnicast() }
