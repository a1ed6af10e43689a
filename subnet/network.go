package subnet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Network is the configuration of the whole pod network, the value of PREFIX/config in etcd. The zero Network is not
// valid; ParseNetwork makes valid ones.
type Network struct {
	IPv4, IPv6 Range // the zero Range if the family is off
	VXLAN      VXLAN
}

// Range is the part of the pod network that nodes lease their pod subnets from.
type Range struct {
	Prefix    netip.Prefix // the pod network
	SubnetLen int          // prefix length of a node's pod subnet
	Min, Max  netip.Addr   // first addresses of the first and the last pod subnet that nodes may lease
}

// VXLAN is the backend's part of the configuration. Names and defaults are flannel's.
type VXLAN struct {
	VNI           uint32 // 1 to 16,777,215 (RFC 7348 section 5); default 1
	Port          uint16 // UDP destination port; default 8472, Linux's own
	MTU           int    // of the overlay in bytes; 0: the underlay's minus the encapsulation
	GBP           bool   // VXLAN group policy extension
	Learning      bool   // the kernel learns FDB entries from traffic too
	DirectRouting bool   // peers on the same link get a plain route, without encapsulation
}

// MaxVNI is the highest VXLAN network identifier: it has 24 bits (RFC 7348 section 5).
const MaxVNI = 1<<24 - 1

// Range returns the range of one family.
func (n Network) Range(f Family) Range {
	if f == IPv4 {
		return n.IPv4
	}
	return n.IPv6
}

// Prefixes returns the pod network's prefix in each family that is on.
func (n Network) Prefixes() []netip.Prefix {
	var ps []netip.Prefix
	for _, f := range Families {
		if r := n.Range(f); r.On() {
			ps = append(ps, r.Prefix)
		}
	}
	return ps
}

// On reports whether the family is on.
func (r Range) On() bool { return r.Prefix.IsValid() }

// Fits reports whether a prefix is a possible pod subnet of this range.
func (r Range) Fits(p netip.Prefix) bool {
	return aligned(p) && p.Bits() == r.SubnetLen && !p.Addr().Less(r.Min) && !r.Max.Less(p.Addr())
}

// Fits reports whether a pair is possible under this configuration. It needs a fitting half for each family that is on,
// and none for a family that is off.
func (n Network) Fits(p Pair) bool {
	for _, f := range Families {
		half, r := p.Half(f), n.Range(f)
		if (half.IsValid() || r.On()) && !r.Fits(half) {
			return false
		}
	}
	return true
}

// networkJSON is the configuration as JSON. EnableIPv4 is a pointer, because IPv4 is on if the key is absent. Backend is
// decoded later: if the key appears twice, the last value replaces the first as a whole, as with flannel.
type networkJSON struct {
	EnableIPv4                                *bool
	EnableIPv6                                bool
	Network, SubnetMin, SubnetMax             string
	SubnetLen                                 int
	IPv6Network, IPv6SubnetMin, IPv6SubnetMax string
	IPv6SubnetLen                             int
	Backend                                   json.RawMessage
}

// backendJSON is the value of Backend. VNI is a pointer, because 0 is an error and not the default.
type backendJSON struct {
	Type                         string
	VNI                          *int
	Port, MTU                    int
	GBP, Learning, DirectRouting bool
}

// ParseNetwork parses and checks the configuration, of at most MaxValue bytes. Keys match case-insensitively, as with
// flannel. The warnings name probable mistakes, such as unknown keys. An error names the key and its invalid value.
func ParseNetwork(data []byte) (n Network, warnings []string, err error) {
	if len(data) > MaxValue {
		return Network{}, nil, fmt.Errorf("network configuration: more than %d bytes", MaxValue)
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return Network{}, nil, errors.New("network configuration: empty")
	}
	var j networkJSON
	if err := decode("", data, &j); err != nil {
		return Network{}, nil, fmt.Errorf("network configuration: %w", err)
	}
	if n, err = j.network(); err != nil {
		return Network{}, nil, fmt.Errorf("network configuration: %w", err)
	}
	return n, j.warnings(data), nil
}

func (j networkJSON) network() (n Network, err error) {
	if j.EnableIPv4 == nil || *j.EnableIPv4 {
		n.IPv4, err = rangeJSON{IPv4, "", j.Network, j.SubnetMin, j.SubnetMax, j.SubnetLen}.parse()
		if err != nil {
			return Network{}, err
		}
	}
	if j.EnableIPv6 {
		n.IPv6, err = rangeJSON{IPv6, "IPv6", j.IPv6Network, j.IPv6SubnetMin, j.IPv6SubnetMax, j.IPv6SubnetLen}.parse()
		if err != nil {
			return Network{}, err
		}
	}
	if !n.IPv4.On() && !n.IPv6.On() {
		return Network{}, errors.New("EnableIPv4 and EnableIPv6 are both false: nothing to do")
	}
	n.VXLAN, err = parseBackend(j.Backend)
	if mtu := n.VXLAN.MTU; err == nil && mtu != 0 && (mtu < n.MinMTU() || mtu > MaxMTU) {
		return Network{}, fmt.Errorf("Backend.MTU %d is not between %d and %d", mtu, n.MinMTU(), MaxMTU)
	}
	return n, err
}

func parseBackend(raw json.RawMessage) (VXLAN, error) {
	var b backendJSON
	if len(raw) > 0 {
		if err := decode("Backend", raw, &b); err != nil {
			return VXLAN{}, err
		}
	}
	v := VXLAN{VNI: 1, Port: 8472, MTU: b.MTU, GBP: b.GBP, Learning: b.Learning, DirectRouting: b.DirectRouting}
	if b.Type != "" && !strings.EqualFold(b.Type, BackendVXLAN) {
		return VXLAN{}, fmt.Errorf("Backend.Type %.40q is unknown: the one backend is %q", b.Type, BackendVXLAN)
	}
	if b.VNI != nil {
		if *b.VNI < 1 || *b.VNI > MaxVNI {
			return VXLAN{}, fmt.Errorf("Backend.VNI %d is not between 1 and %d", *b.VNI, MaxVNI)
		}
		v.VNI = uint32(*b.VNI)
	}
	if b.Port < 0 || b.Port > 65535 {
		return VXLAN{}, fmt.Errorf("Backend.Port %d is not between 1 and 65535", b.Port)
	}
	if b.Port != 0 {
		v.Port = uint16(b.Port)
	}
	return v, nil
}
