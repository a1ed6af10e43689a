package subnet

import (
	"crypto/sha256"
	"fmt"
	"net"
	"net/netip"
)

// MAC is an Ethernet address (IEEE 802, 48 bits). It is comparable and can be a map key.
type MAC [6]byte

// MACFor derives the MAC of a node's VXLAN device from its pod subnet. So it stays the same after a reboot, and if the
// device is created again. It is unicast and locally administered (IEEE 802 section 8.4).
func MACFor(p netip.Prefix) MAC {
	sum := sha256.Sum256([]byte("podlane " + p.Masked().String()))
	m := MAC(sum[:6])
	m[0] = m[0]&^1 | 2
	return m
}

// ParseMAC parses an Ethernet address that a device can have: 48 bits, unicast, not zero.
func ParseMAC(s string) (MAC, error) {
	hw, err := net.ParseMAC(s)
	if err != nil || len(hw) != len(MAC{}) {
		return MAC{}, fmt.Errorf("MAC %.40q is not an Ethernet address", s)
	}
	m := MAC(hw)
	switch {
	case m.IsZero():
		return MAC{}, fmt.Errorf("MAC %s is zero", m)
	case m[0]&1 != 0:
		return MAC{}, fmt.Errorf("MAC %s is a multicast address", m)
	}
	return m, nil
}

// IsZero reports whether the address is absent.
func (m MAC) IsZero() bool { return m == MAC{} }

func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }
