package kubernetes

import (
	"net/netip"
	"slices"

	"github.com/podlane/podlane/subnet"
)

// index finds overlapping pod subnets among thousands. Most clusters have pod subnets of one length.
type index struct {
	subnets [len(subnet.Families)]map[netip.Prefix]struct{}
	lengths [len(subnet.Families)][]int // of the pod subnets, each once
}

func newIndex(records []subnet.Record) (x index) {
	for _, f := range subnet.Families {
		x.subnets[f] = make(map[netip.Prefix]struct{}, len(records))
		for i := range records {
			p := records[i].Endpoint(f).Subnet
			if !p.IsValid() {
				continue
			}
			x.subnets[f][p] = struct{}{}
			if !slices.Contains(x.lengths[f], p.Bits()) {
				x.lengths[f] = append(x.lengths[f], p.Bits())
			}
		}
	}
	return x
}

// overlaps reports whether a pod subnet of the index overlaps one of a pair.
func (x index) overlaps(p subnet.Pair) bool {
	return slices.ContainsFunc(subnet.Families[:], func(f subnet.Family) bool {
		half := p.Half(f)
		return half.IsValid() && slices.ContainsFunc(x.lengths[f], func(length int) bool { return x.overlapsAt(f, half, length) })
	})
}

// overlapsAt reports whether a pod subnet of the index with this length overlaps a prefix: it contains the prefix, or is in it.
func (x index) overlapsAt(f subnet.Family, p netip.Prefix, length int) bool {
	if length <= p.Bits() {
		_, found := x.subnets[f][netip.PrefixFrom(p.Addr(), length).Masked()]
		return found
	}
	for q := range x.subnets[f] {
		if p.Overlaps(q) {
			return true
		}
	}
	return false
}
