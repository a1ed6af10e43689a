package subnet

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// Screen removes from a set the leases that conflict with others or with our own: each would divert a peer's traffic or
// ours. If two clash, the older one is used. There is one exception: if a node returns with another address and other pod
// subnets, its newer lease is used. links are the underlay's addresses on this node, with their prefixes. Peers and skips
// are in the order of the records; each skip has its reason. Neither contains our own lease (self).
func Screen(n Network, links []netip.Prefix, self Lease, records []Record) (peers []Lease, skipped []Skip) {
	faults := faultsOf(n, links, self, records)
	peers = slices.Grow(peers, len(records))
	for i, r := range records {
		switch {
		case r.Pair() == self.Pair(): // it overlaps ours, being ours
		case faults[i] != "":
			skipped = append(skipped, Skip{r.Pair().Key(), faults[i]})
		default:
			peers = append(peers, r.Lease)
		}
	}
	return peers, skipped
}

// faultsOf is why each of the records cannot stand; empty where it can.
func faultsOf(n Network, links []netip.Prefix, self Lease, records []Record) []string {
	faults := make([]string, len(records))
	for i := range records {
		faults[i] = faultBeside(n, links, self, records[i].Lease)
	}
	if apart(records) {
		return faults
	}
	s := newScreen(n, records)
	for _, i := range byAge(records) {
		if faults[i] != "" {
			continue
		}
		var moved []int
		if moved, faults[i] = s.clash(i); faults[i] != "" {
			continue
		}
		for _, old := range moved {
			faults[old] = fmt.Sprintf("the same node has a newer lease, %s", records[i].Lease)
		}
		s.admit(i)
	}
	return faults
}

// byAge is the indices of the records, the oldest first. The pod subnets decide between two of one revision, so that
// every node comes to the same result.
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
	network Network
	records []Record
	parents map[netip.Prefix]netip.Prefix // of the pod subnets of all records
	taken   map[netip.Prefix]int          // by the pod subnet of an admitted lease
	around  map[netip.Prefix]int          // by a pod subnet of any record that contains an admitted lease's pod subnet
	macs    map[familyMAC]int
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
		network: n,
		records: records,
		parents: parents(subnets),
		taken:   make(map[netip.Prefix]int, len(subnets)),
		around:  map[netip.Prefix]int{},
		macs:    make(map[familyMAC]int, len(subnets)),
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
		s.taken[e.Subnet] = i
		for p := s.parents[e.Subnet]; p.IsValid(); p = s.parents[p] {
			if _, known := s.around[p]; known {
				break
			}
			s.around[p] = i
		}
		if !e.MAC.IsZero() { // leases of other backends have none
			s.macs[familyMAC{f, e.MAC}] = i
		}
	}
}

// clash returns why a lease cannot be programmed together with those admitted before, or nothing. moved holds the admitted
// leases that it replaces, because they are older ones of the same node. A replaced lease still blocks its pod subnets:
// otherwise a forged lease of the same node could take them.
func (s *screen) clash(i int) (moved []int, fault string) {
	l := s.records[i].Lease
	for _, f := range Families {
		e := l.Endpoint(f)
		if !e.Subnet.IsValid() || !s.network.Range(f).On() {
			continue
		}
		if old, clash := s.overlapping(e.Subnet); clash {
			return nil, fmt.Sprintf("pod subnet %s overlaps that of an older lease, %s", e.Subnet, s.records[old].Lease)
		}
		if old, clash := s.macs[familyMAC{f, e.MAC}]; clash {
			other := s.records[old].Lease
			if !sameNode(other, l) {
				return nil, fmt.Sprintf("VTEP MAC %s is that of an older lease, %s", e.MAC, other)
			}
			moved = append(moved, old)
		}
	}
	return moved, ""
}

// sameNode reports whether two leases with the same VTEP MAC are of one node. The MAC alone does not prove it, because a
// clone has it too. The same public address in one family proves it, or the same id and name; flannel writes neither id nor
// name.
func sameNode(a, b Lease) bool {
	if a.Node.ID != "" && b.Node.ID != "" {
		return a.Node.ID == b.Node.ID && a.Node.Name == b.Node.Name
	}
	return slices.ContainsFunc(Families[:], func(f Family) bool {
		address := a.Endpoint(f).PublicIP
		return address.IsValid() && address == b.Endpoint(f).PublicIP
	})
}

// faultBeside says why a lease cannot be programmed whatever the others are, or nothing.
func faultBeside(n Network, links []netip.Prefix, self, l Lease) string {
	for _, f := range Families {
		e, own := l.Endpoint(f), self.Endpoint(f)
		switch {
		case !e.Subnet.IsValid():
			continue
		case !n.Range(f).On():
			continue // a family we do not carry: nothing of it is programmed
		case own.Subnet.IsValid() && own.Subnet.Overlaps(e.Subnet) && Contains(n.Range(f).Prefix, e.Subnet):
			return fmt.Sprintf("pod subnet %s overlaps ours, %s", e.Subnet, own.Subnet)
		case n.Range(f).unusable(e.Subnet) != "":
			return n.Range(f).unusable(e.Subnet)
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
		case link.Overlaps(e.Subnet): // its route would take the traffic to the nodes themselves
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

// overlapping looks for an admitted lease whose pod subnet shares an address with p, that of another record: it is p, or
// contains p, or p contains it.
func (s *screen) overlapping(p netip.Prefix) (int, bool) {
	if i, ok := s.around[p]; ok {
		return i, true
	}
	for ; p.IsValid(); p = s.parents[p] {
		if i, ok := s.taken[p]; ok {
			return i, true
		}
	}
	return 0, false
}
