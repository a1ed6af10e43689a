package subnet

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// Screen removes the leases that conflict with another lease, with our own, with the pod network or with the underlay. Such
// a lease would divert traffic. links holds the underlay's addresses on this node, with their prefixes.
//
//   - If two leases conflict, Screen keeps the older one.
//   - One exception: if a node returns with another address and other pod subnets, Screen keeps its newer lease.
//   - Each skip has its reason.
//   - Peers and skips are in the order of the records. They do not contain our own lease (self).
func Screen(n Network, links []netip.Prefix, self Lease, records []Record) (peers []Lease, skipped []Skip) {
	faults := leaseFaults(n, links, self, records)
	peers = slices.Grow(peers, len(records))
	for i, r := range records {
		switch {
		case r.Pair() == self.Pair(): // our own lease
		case faults[i] != "":
			skipped = append(skipped, Skip{r.Pair().Key(), faults[i]})
		default:
			peers = append(peers, r.Lease)
		}
	}
	return peers, skipped
}

// leaseFaults returns, for each record, why it cannot be programmed. It is empty if it can.
func leaseFaults(n Network, links []netip.Prefix, self Lease, records []Record) []string {
	faults := make([]string, len(records))
	for i := range records {
		faults[i] = faultAlone(n, links, self, records[i].Lease)
	}
	if disjoint(records) {
		return faults
	}
	s := newScreen(n, records)
	for _, i := range byAge(records) {
		if faults[i] != "" {
			continue
		}
		var replaced []int
		if replaced, faults[i] = s.conflict(i); faults[i] != "" {
			continue
		}
		for _, old := range replaced {
			faults[old] = replacedBy(records[old].Lease, records[i].Lease)
		}
		s.admit(i)
	}
	return faults
}

// replacedBy returns why a lease is skipped although it is older than one with the same VTEP MAC.
func replacedBy(old, l Lease) string {
	if sameNode(old, l) {
		return fmt.Sprintf("the same node has a newer lease, %s", l)
	}
	return fmt.Sprintf("its VTEP MAC belongs to the pod subnet of another lease, %s", l)
}

// byAge returns the indices of the records, the oldest first. If two have the same revision, the pod subnets decide. So
// every node gets the same result.
func byAge(records []Record) []int {
	order := make([]int, len(records))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		a, b := &records[i], &records[j]
		if c := cmp.Compare(a.Created, b.Created); c != 0 {
			return c
		}
		return cmp.Or(a.IPv4.Subnet.Compare(b.IPv4.Subnet), a.IPv6.Subnet.Compare(b.IPv6.Subnet))
	})
	return order
}

// screen holds the leases admitted so far, each by its index among the records.
type screen struct {
	network    Network
	records    []Record
	parents    map[netip.Prefix]netip.Prefix // of the pod subnets of all records
	admitted   map[netip.Prefix]int          // by the pod subnet of an admitted lease
	containing map[netip.Prefix]int          // by a pod subnet of any record that contains an admitted lease's pod subnet
	macs       map[familyMAC]int
}

func newScreen(n Network, records []Record) *screen {
	var subnets []netip.Prefix
	for _, r := range records {
		for _, f := range Families {
			if p := r.Endpoint(f).Subnet; p.IsValid() {
				subnets = append(subnets, p)
			}
		}
	}
	return &screen{
		network:    n,
		records:    records,
		parents:    parents(subnets),
		admitted:   make(map[netip.Prefix]int, len(subnets)),
		containing: map[netip.Prefix]int{},
		macs:       make(map[familyMAC]int, len(subnets)),
	}
}

type familyMAC struct {
	family Family
	mac    MAC
}

func (s *screen) admit(i int) {
	for _, f := range Families {
		e := s.records[i].Endpoint(f)
		if !e.Subnet.IsValid() {
			continue
		}
		s.admitted[e.Subnet] = i
		for p := s.parents[e.Subnet]; p.IsValid(); p = s.parents[p] {
			if _, known := s.containing[p]; known {
				break
			}
			s.containing[p] = i
		}
		if !e.MAC.IsZero() { // leases of other backends have none
			s.macs[familyMAC{f, e.MAC}] = i
		}
	}
}

// conflict returns why a lease cannot be programmed together with those admitted before, or nothing. replaced holds the
// older admitted leases that this one replaces. They are of the same node, or have the MAC that is derived from this one's pod
// subnet. So an older node cannot cut off a newer one by announcing its MAC. A replaced lease still blocks its pod
// subnets. Otherwise a forged lease of the same node could get them.
func (s *screen) conflict(i int) (replaced []int, fault string) {
	l := s.records[i].Lease
	for _, f := range Families {
		e := l.Endpoint(f)
		if !e.Subnet.IsValid() || !s.network.Range(f).On() {
			continue
		}
		if old, found := s.overlapping(e.Subnet); found {
			return nil, fmt.Sprintf("pod subnet %s overlaps that of an older lease, %s", e.Subnet, s.records[old].Lease)
		}
		if old, found := s.macs[familyMAC{f, e.MAC}]; found {
			other := s.records[old].Lease
			if !sameNode(other, l) && e.MAC != MACFor(e.Subnet) {
				return nil, fmt.Sprintf("VTEP MAC %s is that of an older lease, %s", e.MAC, other)
			}
			replaced = append(replaced, old)
		}
	}
	return replaced, ""
}

// sameNode reports whether two leases with the same VTEP MAC are of one node. The MAC alone does not prove it, because a
// clone has it too. The same id and name prove it. flannel writes no id and no name: then the same public address in one
// family proves it.
func sameNode(a, b Lease) bool {
	if a.Node.ID != "" && b.Node.ID != "" {
		return a.Node.ID == b.Node.ID && a.Node.Name == b.Node.Name
	}
	return slices.ContainsFunc(Families[:], func(f Family) bool {
		address := a.Endpoint(f).PublicIP
		return address.IsValid() && address == b.Endpoint(f).PublicIP
	})
}

// faultAlone returns why a lease cannot be programmed, whatever the other leases are, or nothing.
func faultAlone(n Network, links []netip.Prefix, self, l Lease) string {
	for _, f := range Families {
		e, own := l.Endpoint(f), self.Endpoint(f)
		switch {
		case !e.Subnet.IsValid():
			continue
		case !n.Range(f).On():
			continue // this family is not programmed
		case own.Subnet.IsValid() && own.Subnet.Overlaps(e.Subnet) && Contains(n.Range(f).Prefix, e.Subnet):
			return fmt.Sprintf("pod subnet %s overlaps ours, %s", e.Subnet, own.Subnet)
		case n.Range(f).Unusable(e.Subnet) != "":
			return n.Range(f).Unusable(e.Subnet)
		case own.PublicIP.IsValid() && own.PublicIP == e.PublicIP && l.Node.ID == self.Node.ID:
			return "it is an earlier lease of this node's own"
		case own.PublicIP.IsValid() && own.PublicIP == e.PublicIP:
			return fmt.Sprintf("public address %s is ours", e.PublicIP)
		case !e.MAC.IsZero() && own.MAC == e.MAC:
			return fmt.Sprintf("VTEP MAC %s is ours", e.MAC)
		}
		if fault := faultOnLinks(n, links, own, e); fault != "" {
			return fault
		}
	}
	return ""
}

// faultOnLinks returns why one family's part of a lease cannot be programmed on this underlay, or nothing.
func faultOnLinks(n Network, links []netip.Prefix, own, e Endpoint) string {
	for _, link := range links {
		switch {
		case link.Overlaps(e.Subnet): // its route would divert traffic to the nodes
			return fmt.Sprintf("pod subnet %s overlaps the underlay, %s", e.Subnet, link.Masked())
		case link.Addr() == e.PublicIP:
			return fmt.Sprintf("public address %s is ours", e.PublicIP)
		}
	}
	if err := n.CheckPublicIP(links, e.PublicIP); err != nil {
		return err.Error()
	}
	if own.Subnet.IsValid() && own.Subnet.Contains(e.PublicIP) {
		return fmt.Sprintf("public address %s is in our pod subnet, %s", e.PublicIP, own.Subnet)
	}
	return ""
}

// overlapping returns the index of an admitted lease whose pod subnet overlaps p, if there is one. That pod subnet equals
// p, contains p, or is in p.
func (s *screen) overlapping(p netip.Prefix) (int, bool) {
	if i, ok := s.containing[p]; ok {
		return i, true
	}
	for ; p.IsValid(); p = s.parents[p] {
		if i, ok := s.admitted[p]; ok {
			return i, true
		}
	}
	return 0, false
}
