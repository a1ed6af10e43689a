package lab

import (
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// The lab's addresses, by subnet.Family. The IPv4 ones are reserved for benchmarks (RFC 2544) and documentation (RFC
// 5737). The IPv6 ones are unique local (RFC 4193) and for documentation (RFC 3849).
var plans = []plan{
	{netip.MustParsePrefix("198.18.0.0/16"), netip.MustParsePrefix("203.0.113.0/24")},
	{netip.MustParsePrefix("fd98:18::/64"), netip.MustParsePrefix("2001:db8:113::/64")},
}

// plan holds one family's networks.
type plan struct{ underlay, outside netip.Prefix }

// router returns the underlay address of the sandbox's own namespace. etcd's first member listens there too.
func (p plan) router() netip.Prefix { return p.member(1) }

// member returns the address of etcd's member i, from 1.
func (p plan) member(i int) netip.Prefix { return nth(p.underlay, i) }

// node returns the address of node i, from 1.
func (p plan) node(i int) netip.Prefix { return nth(p.underlay, 256+i) }

// world returns the outside's own address. gateway returns the router's address on that network.
func (p plan) world() netip.Prefix   { return nth(p.outside, 1) }
func (p plan) gateway() netip.Prefix { return nth(p.outside, 254) }

// nth returns the i-th address after the prefix's first, with the prefix's length. i must be below 65536.
func nth(p netip.Prefix, i int) netip.Prefix {
	b := p.Masked().Addr().AsSlice()
	b[len(b)-2], b[len(b)-1] = b[len(b)-2]+byte(i>>8), b[len(b)-1]+byte(i)
	a, _ := netip.AddrFromSlice(b)
	return netip.PrefixFrom(a, p.Bits())
}

func route(to netip.Prefix, via netip.Addr) netlink.Route {
	return netlink.Route{Dst: ipNet(to), Gw: via.AsSlice()}
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
