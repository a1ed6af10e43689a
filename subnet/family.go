// Package subnet holds the values podlane is about: the network configuration, the leases of its nodes, the choice of a
// free pod subnet, and the node file that the CNI plugin reads. It is pure: net/netip and the standard library only,
// and nothing here talks to etcd or to the kernel.
package subnet

import "net/netip"

// Family is an address family of the overlay. Code loops over Families rather than being written once for each.
type Family int

// The families, in the order in which they stand in a lease key.
const (
	IPv4 Family = iota
	IPv6
)

// Families is both families.
var Families = [...]Family{IPv4, IPv6}

// FamilyOf tells the family of an address; IPv4-mapped IPv6 addresses are IPv6.
func FamilyOf(a netip.Addr) Family {
	if a.Is4() {
		return IPv4
	}
	return IPv6
}

// Bits is the length of an address in bits: 32 or 128.
func (f Family) Bits() int {
	if f == IPv4 {
		return 32
	}
	return 128
}

func (f Family) String() string {
	if f == IPv4 {
		return "IPv4"
	}
	return "IPv6"
}
