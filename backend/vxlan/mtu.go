package vxlan

import (
	"fmt"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/underlay"
)

// overhead is the number of bytes that the encapsulation adds to a packet (RFC 7348 section 5). It is the outer IP
// header, UDP 8, VXLAN 8 and the inner Ethernet header 14.
var overhead = [len(subnet.Families)]int{subnet.IPv4: 20 + 8 + 8 + 14, subnet.IPv6: 40 + 8 + 8 + 14}

// overlayMTU returns the MTU of the overlay. Both families share it: a pod's packets must fit either tunnel.
func overlayMTU(n subnet.Network, u underlay.Interface) (int, error) {
	most := subnet.MaxMTU
	for _, f := range subnet.Families {
		if n.Range(f).On() {
			most = min(most, u.MTU-overhead[f])
		}
	}
	switch mtu := n.VXLAN.MTU; {
	case u.MTU == 0 && mtu != 0:
		return mtu, nil
	case u.MTU == 0:
		return 0, fmt.Errorf("the MTU of the paths to other nodes is not known: no packet leaves through underlay %s, "+
			"and the node has no route to a peer or to a router; set Backend.MTU in the network configuration", u.Name)
	case most < n.MinMTU():
		return 0, fmt.Errorf("underlay %s has an MTU of %d: it leaves %d for the overlay, which needs at least %d",
			u.Name, u.MTU, most, n.MinMTU())
	case mtu > most:
		return 0, fmt.Errorf("configured MTU %d is more than the %d that underlay %s leaves for the overlay (its MTU is %d)",
			mtu, most, u.Name, u.MTU)
	case mtu != 0:
		return mtu, nil
	}
	return most, nil
}
