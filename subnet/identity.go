package subnet

import (
	"net/netip"
	"strings"
)

// Self holds what a node knows about itself before it holds a lease. Node id, node name and public address are its marks:
// by them it recognizes its own lease.
type Self struct {
	Node       Node
	PublicIP   netip.Addr // on the IPv4 underlay; not valid without one
	PublicIPv6 netip.Addr // on the IPv6 underlay; not valid without one
	Previous   Pair       // the pod subnets it held last, from the node file or the saved state; zero: not known
	InUse      bool       // pods may run on Previous: the node must not switch to another pair, even if another node has it
}

// Lease returns this node's lease of a pair of pod subnets. It keeps the MACs of old if old has the same pod subnets.
// So a lease that was taken over keeps the MACs that peers know.
func (s Self) Lease(n Network, p Pair, old Lease) Lease {
	l := Lease{
		IPv4:        Endpoint{PublicIP: s.PublicIP},
		IPv6:        Endpoint{PublicIP: s.PublicIPv6},
		BackendType: BackendVXLAN,
		Node:        s.Node,
	}
	fill := func(f Family, e *Endpoint) {
		half := p.Half(f)
		if !half.IsValid() {
			return
		}
		e.Subnet, e.VNI, e.MAC = half, n.VXLAN.VNI, MACFor(half)
		if known := old.Endpoint(f); known.Subnet == half && !known.MAC.IsZero() {
			e.MAC = known.MAC
		}
	}
	fill(IPv4, &l.IPv4)
	fill(IPv6, &l.IPv6)
	return l
}

// match holds which of the three marks a lease shares with this node.
type match struct{ id, address, name bool }

func (s Self) match(l Lease) match {
	return match{
		id:   s.Node.ID != "" && s.Node.ID == l.Node.ID,
		name: s.Node.Name != "" && s.Node.Name == l.Node.Name,
		address: s.PublicIP.IsValid() && s.PublicIP == l.IPv4.PublicIP ||
			s.PublicIPv6.IsValid() && s.PublicIPv6 == l.IPv6.PublicIP,
	}
}

func (m match) count() int {
	n := 0
	for _, b := range []bool{m.id, m.address, m.name} {
		if b {
			n++
		}
	}
	return n
}

// Ours reports whether a lease is certainly this node's: all three marks match. A lease that flannel wrote has only the
// address.
func (s Self) Ours(l Lease) bool {
	m := s.match(l)
	return m.count() == 3 || m.address && l.Node == (Node{})
}

// canTakeOver reports whether this node may overwrite a lease whose holder does not answer. Two marks must match, or the
// address, because no two nodes can share one.
func (m match) canTakeOver() bool { return m.count() >= 2 || m.address }

// String returns the names of the marks that match.
func (m match) String() string {
	var marks []string
	for _, mark := range []struct {
		matches bool
		name    string
	}{{m.id, "node id"}, {m.name, "node name"}, {m.address, "public address"}} {
		if mark.matches {
			marks = append(marks, mark.name)
		}
	}
	return strings.Join(marks, " and ")
}

// Concerns reports whether another node's claim asks about this node's lease: at least one mark matches.
func (s Self) Concerns(claim Lease) bool { return s.match(claim).count() > 0 }
