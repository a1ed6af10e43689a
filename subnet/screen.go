package subnet

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// Screen takes out of a set the leases that cannot stand beside the others or beside our own: each would take away a
// peer's traffic or ours. Of two that clash the one created first stays. What stays is in the order of the keys;
// what goes is named with its reason. Our own lease (self) is never among the peers.
func Screen(n Network, self Lease, records []Record) (peers []Lease, skipped []Skip) {
	s := newScreen(n, self, records)
	byAge := slices.Clone(records)
	slices.SortStableFunc(byAge, func(a, b Record) int { return cmp.Compare(a.Created, b.Created) })
	good := make(map[Pair]bool, len(records))
	reasons := map[Pair]string{}
	for _, r := range byAge {
		if r.Pair() == self.Pair() {
			continue
		}
		if reason := s.fault(r.Lease); reason != "" {
			reasons[r.Pair()] = reason
			continue
		}
		good[r.Pair()] = true
		s.admit(r.Lease)
	}
	for _, r := range records {
		if good[r.Pair()] {
			peers = append(peers, r.Lease)
		} else if reason, bad := reasons[r.Pair()]; bad {
			skipped = append(skipped, Skip{r.Pair().Key(), reason})
		}
	}
	return peers, skipped
}

// screen is what has been let in so far.
type screen struct {
	network Network
	self    Lease
	lengths [len(Families)]map[int]bool // that the pod subnets of all records have
	taken   map[netip.Prefix]Lease
	around  map[netip.Prefix]Lease // the prefixes, of those lengths, that contain a taken one
	macs    map[familyMAC]Lease
}

func newScreen(n Network, self Lease, records []Record) *screen {
	s := &screen{
		network: n,
		self:    self,
		lengths: [...]map[int]bool{{}, {}},
		taken:   make(map[netip.Prefix]Lease, len(records)),
		around:  map[netip.Prefix]Lease{},
		macs:    make(map[familyMAC]Lease, len(records)),
	}
	for _, r := range records {
		for _, f := range Families {
			if p := r.Endpoint(f).Subnet; p.IsValid() {
				s.lengths[f][p.Bits()] = true
			}
		}
	}
	return s
}

type familyMAC struct {
	family Family
	mac    MAC
}

func (s *screen) admit(l Lease) {
	for _, f := range Families {
		e := l.Endpoint(f)
		if !e.Subnet.IsValid() {
			continue
		}
		s.taken[e.Subnet] = l
		for length := range s.lengths[f] {
			if length < e.Subnet.Bits() {
				s.around[netip.PrefixFrom(e.Subnet.Addr(), length).Masked()] = l
			}
		}
		if !e.MAC.IsZero() {
			s.macs[familyMAC{f, e.MAC}] = l
		}
	}
}

// fault says why a lease cannot be programmed, or nothing.
func (s *screen) fault(l Lease) string {
	for _, f := range Families {
		e, own := l.Endpoint(f), s.self.Endpoint(f)
		switch {
		case !e.Subnet.IsValid():
			continue
		case !s.network.Range(f).On():
			continue // a family we do not carry: nothing of it is programmed
		case !contains(s.network.Range(f).Prefix, e.Subnet):
			return fmt.Sprintf("pod subnet %s is outside the pod network %s", e.Subnet, s.network.Range(f).Prefix)
		case own.Subnet.IsValid() && own.Subnet.Overlaps(e.Subnet):
			return fmt.Sprintf("pod subnet %s overlaps ours, %s", e.Subnet, own.Subnet)
		case own.PublicIP.IsValid() && own.PublicIP == e.PublicIP:
			return fmt.Sprintf("public address %s is ours", e.PublicIP)
		case !e.MAC.IsZero() && own.MAC == e.MAC:
			return fmt.Sprintf("VTEP MAC %s is ours", e.MAC)
		}
		if other, clash := s.overlapping(e.Subnet); clash {
			return fmt.Sprintf("pod subnet %s overlaps that of an older lease, %s", e.Subnet, other)
		}
		if other, clash := s.macs[familyMAC{f, e.MAC}]; clash && !e.MAC.IsZero() {
			return fmt.Sprintf("VTEP MAC %s is that of an older lease, %s", e.MAC, other)
		}
	}
	return ""
}

// overlapping looks for an admitted lease whose pod subnet shares an address with p: one that contains p, or one that p
// contains. It costs a look-up for each length that any lease has, which is nearly always one.
func (s *screen) overlapping(p netip.Prefix) (Lease, bool) {
	for length := range s.lengths[FamilyOf(p.Addr())] {
		if length > p.Bits() {
			continue
		}
		if l, ok := s.taken[netip.PrefixFrom(p.Addr(), length).Masked()]; ok {
			return l, true
		}
	}
	l, ok := s.around[p]
	return l, ok
}

func contains(outer, inner netip.Prefix) bool {
	return outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
}
