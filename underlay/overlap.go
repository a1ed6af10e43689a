package underlay

import (
	"fmt"

	"github.com/podlane/podlane/subnet"
)

// Overlap returns an error if a pod subnet of the range overlaps the underlay's own prefixes. A route to a peer's
// pods would then replace the route to the peer. The error names both ranges. Other parts of the pod network may
// contain the underlay.
func Overlap(i Interface, network subnet.Network) error {
	for _, a := range i.Addrs {
		f := subnet.FamilyOf(a.Addr())
		r := network.Range(f)
		if !r.On() || !r.Pods().Overlaps(a) {
			continue
		}
		pods, link := r.Pods(), subnet.IntervalOf(a)
		key := [...]string{subnet.IPv4: "Subnet", subnet.IPv6: "IPv6Subnet"}[f]
		return fmt.Errorf("pod network %s overlaps %s of underlay interface %s: give the pod network other addresses, or set %sMin and %sMax so that the pod subnets, now %s to %s, do not overlap the underlay, %s to %s",
			r.Prefix, a, i.Name, key, key, pods.First, pods.Last, link.First, link.Last)
	}
	return nil
}
