// Package subnet holds podlane's values and their rules:
//
//   - Network: the network configuration
//   - Lease, Record, Set: the leases of the nodes
//   - Decide, Choose: which pod subnet a node uses
//   - Screen: which leases a node can program
//   - NodeFile: the file that the CNI plugin reads
//
// The package is pure. It imports only the standard library, and does not talk to etcd or to the kernel.
package subnet

import "net/netip"

// Family is an address family of the overlay. Code loops over Families, so that the same lines serve both.
type Family int

// The families, in the order of a lease key.
const (
	IPv4 Family = iota
	IPv6
)

// Families holds both families.
var Families = [...]Family{IPv4, IPv6}

// FamilyOf returns the family of an address. IPv4-mapped IPv6 addresses are IPv6.
func FamilyOf(a netip.Addr) Family {
	if a.Is4() {
		return IPv4
	}
	return IPv6
}

// Bits returns the length of an address in bits: 32 or 128.
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
