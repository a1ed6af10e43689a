package underlay

import (
	"fmt"

	"github.com/podlane/podlane/subnet"
)

// Overlap tells whether the pod network shares addresses with the underlay's own prefixes: a route to a peer's pods would
// then take away the route to the peer. The error names both.
func Overlap(i Interface, network subnet.Network) error {
	for _, a := range i.Addrs {
		for _, p := range network.Prefixes() {
			if a.Overlaps(p) {
				return fmt.Errorf("pod network %s overlaps %s of underlay interface %s: give the pod network other addresses", p, a, i.Name)
			}
		}
	}
	return nil
}
