package subnet

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"
)

// disjoint reports whether no two records share a pod address or a VTEP MAC. This is the usual case. Then no lease
// conflicts with another, and their age does not matter.
func disjoint(records []Record) bool {
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
		if anyAdjacent(macs, func(a, b MAC) bool { return a == b }) || anyAdjacent(subnets, netip.Prefix.Overlaps) {
			return false
		}
	}
	return true
}

// anyAdjacent reports whether a condition holds for two adjacent items of a list. If prefixes are sorted by address and
// length, and any two overlap, then two adjacent ones overlap.
func anyAdjacent[T any](list []T, holds func(a, b T) bool) bool {
	for i := 1; i < len(list); i++ {
		if holds(list[i-1], list[i]) {
			return true
		}
	}
	return false
}
