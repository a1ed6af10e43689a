package subnet

import (
	"net/netip"
	"slices"
)

// Interval holds the addresses from First to Last, both included, of one family.
type Interval struct{ First, Last netip.Addr }

// IntervalOf returns the addresses of a prefix.
func IntervalOf(p netip.Prefix) Interval { return Interval{p.Masked().Addr(), last(p)} }

// Contains reports whether an address is in the interval. An address of the other family is not.
func (i Interval) Contains(a netip.Addr) bool {
	return i.First.BitLen() == a.BitLen() && !a.Less(i.First) && !i.Last.Less(a)
}

// Overlaps reports whether the interval and a prefix have an address in common.
func (i Interval) Overlaps(p netip.Prefix) bool {
	return i.Contains(p.Masked().Addr()) || p.Contains(i.First)
}

// Prefixes returns the fewest prefixes that cover the interval, in order: at most two of each length.
func (i Interval) Prefixes() (ps []netip.Prefix) {
	for at := i.First; at.IsValid() && !i.Last.Less(at); { // the address after the highest one is not valid
		p := netip.PrefixFrom(at, at.BitLen())
		for p.Bits() > 0 {
			larger := netip.PrefixFrom(at, p.Bits()-1)
			if !aligned(larger) || i.Last.Less(last(larger)) {
				break
			}
			p = larger
		}
		ps = append(ps, p)
		at = last(p).Next()
	}
	return ps
}

// String returns the interval as a prefix if it is one, else as nft writes it: 10.10.0.0-10.99.255.255.
func (i Interval) String() string {
	if ps := i.Prefixes(); len(ps) == 1 {
		return ps[0].String()
	}
	return i.First.String() + "-" + i.Last.String()
}

// Union returns the addresses of all the intervals as the fewest intervals, in order, IPv4 first.
func Union(intervals []Interval) (all []Interval) {
	sorted := slices.SortedFunc(slices.Values(intervals), func(a, b Interval) int { return a.First.Compare(b.First) })
	for _, i := range sorted {
		if n := len(all); n > 0 {
			before := &all[n-1]
			if before.Contains(i.First) || before.Last.Next() == i.First {
				if before.Last.Less(i.Last) {
					before.Last = i.Last
				}
				continue
			}
		}
		all = append(all, i)
	}
	return all
}
