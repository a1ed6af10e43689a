package subnet

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode"
)

// BackendVXLAN is the BackendType of leases that podlane programs.
const BackendVXLAN = "vxlan"

// Lease says that a node owns its pod subnets and where packets for them go. Leases can be compared with ==.
type Lease struct {
	IPv4, IPv6  Endpoint // without a Subnet where the node has no pod subnet of the family
	BackendType string   // as flannel writes it; peers with another than BackendVXLAN are shown, not programmed
	Node        Node     // the zero Node for a lease that flannel wrote
}

// Endpoint is one family's part of a lease. With BackendType vxlan and a Subnet, all fields but the VNI are set; without
// a Subnet, none but perhaps PublicIP.
type Endpoint struct {
	Subnet   netip.Prefix // the node's pod subnet
	PublicIP netip.Addr   // of the node on the underlay, of the same family as the subnet
	VNI      uint32       // 0: the lease does not say, as those of flannel before 0.15 do not
	MAC      MAC          // of the node's VXLAN device
}

// Node is who a node says it is. Each field is at most MaxNodeText bytes of printable UTF-8.
type Node struct {
	ID      string `json:"id"`      // machine-id or --node-id
	Name    string `json:"name"`    // host name or --node-name
	Version string `json:"version"` // of its podlaned
}

// MaxNodeText is how long a node's id, name and version may each be, in bytes; a DNS name fits (RFC 1035 section 2.3.4).
const MaxNodeText = 255

// Check tells whether the node's lease would be read by others: what they print of it must not break their terminal.
func (n Node) Check() error {
	return errors.Join(checkText("node id", n.ID), checkText("node name", n.Name), checkText("version", n.Version))
}

func checkText(what, s string) error {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }
	if len(s) > MaxNodeText || strings.ContainsFunc(s, unprintable) {
		return fmt.Errorf("%s %.40q is not at most %d printable bytes", what, s, MaxNodeText)
	}
	return nil
}

// Endpoint returns one family's part of the lease.
func (l Lease) Endpoint(f Family) Endpoint {
	if f == IPv4 {
		return l.IPv4
	}
	return l.IPv6
}

// Pair returns the lease's pod subnets.
func (l Lease) Pair() Pair { return Pair{l.IPv4.Subnet, l.IPv6.Subnet} }

// PublicIP is the address the node is known by: its IPv4 one where it has one.
func (l Lease) PublicIP() netip.Addr {
	if l.IPv4.PublicIP.IsValid() {
		return l.IPv4.PublicIP
	}
	return l.IPv6.PublicIP
}

// String names the lease for a log line or an error.
func (l Lease) String() string {
	if l.Node.Name == "" {
		return fmt.Sprintf("%s of %s", l.Pair(), l.PublicIP())
	}
	return fmt.Sprintf("%s of %s (%s)", l.Pair(), l.Node.Name, l.PublicIP())
}
