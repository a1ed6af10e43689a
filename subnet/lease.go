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

// Lease records which node owns a pair of pod subnets, and to which address packets for them go. Leases compare with ==.
type Lease struct {
	IPv4, IPv6  Endpoint // without a Subnet if the node has no pod subnet of the family
	BackendType string   // as flannel writes it; peers with another type than BackendVXLAN are shown, not programmed
	Node        Node     // the zero Node for a lease that flannel wrote
}

// Endpoint is one family's part of a lease. With BackendType vxlan and a Subnet, all fields are set; the VNI may be 0.
// Without a Subnet, only PublicIP may be set.
type Endpoint struct {
	Subnet   netip.Prefix // the node's pod subnet
	PublicIP netip.Addr   // of the node on the underlay, of the same family as the subnet
	VNI      uint32       // 0 if the lease has none, as before flannel 0.15
	MAC      MAC          // of the node's VXLAN device
}

// Node is a node's identity. Each field is at most MaxNodeText bytes of printable UTF-8.
type Node struct {
	ID      string `json:"id"`      // machine-id or --node-id
	Name    string `json:"name"`    // host name or --node-name
	Version string `json:"version"` // of its podlaned
}

// MaxNodeText is the maximum length of a node's id, name and version, in bytes. A DNS name fits (RFC 1035 section 2.3.4).
const MaxNodeText = 255

// Check returns an error if other nodes would reject the identity. They print it, so it must not break a terminal.
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

// PublicIP returns the node's IPv4 address, or its IPv6 address if it has no other.
func (l Lease) PublicIP() netip.Addr {
	if l.IPv4.PublicIP.IsValid() {
		return l.IPv4.PublicIP
	}
	return l.IPv6.PublicIP
}

// String returns the lease's name for logs and errors.
func (l Lease) String() string {
	if l.Node.Name == "" {
		return fmt.Sprintf("%s of %s", l.Pair(), l.PublicIP())
	}
	return fmt.Sprintf("%s of %s (%s)", l.Pair(), l.Node.Name, l.PublicIP())
}
