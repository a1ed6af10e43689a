package subnet

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"
)

// apart tells whether no two records share an address of pods or a VTEP MAC, as in every network that nobody has meddled
// with. Then none is in another's way, whichever is the older.
func apart(records []Record) bool {
	subnets, macs := make([]netip.Prefix, 0, len(records)), make([]MAC, 0, len(records))
	for _, f := range Families {
		subnets, macs = subnets[:0], macs[:0]
		for i := range records {
			e := records[i].Endpoint(f)
			if e.Subnet.IsValid() {
				subnets = append(subnets, e.Subnet)
			}
			if !e.MAC.IsZero() {
				macs = append(macs, e.MAC)
			}
		}
		slices.SortFunc(macs, func(a, b MAC) int { return bytes.Compare(a[:], b[:]) })
		slices.SortFunc(subnets, func(a, b netip.Prefix) int {
			return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
		})
		if adjacent(macs, func(a, b MAC) bool { return a == b }) || adjacent(subnets, netip.Prefix.Overlaps) {
			return false
		}
	}
	return true
}

// adjacent tells whether something holds for two neighbours of a list. In the order of addresses, the shorter prefix
// first, two prefixes that overlap have neighbours that do.
func adjacent[T any](list []T, holds func(a, b T) bool) bool {
	for i := 1; i < len(list); i++ {
		if holds(list[i-1], list[i]) {
			return true
		}
	}
	return false
}
