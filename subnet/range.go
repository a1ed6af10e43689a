package subnet

import (
	"fmt"
	"net/netip"
)

// rangeJSON is one family's part of the configuration. prefix is the prefix of its keys.
type rangeJSON struct {
	family            Family
	prefix            string
	network, min, max string
	length            int
}

// parse applies flannel's defaults and flannel's checks.
func (j rangeJSON) parse() (Range, error) {
	key := func(name string) string { return j.prefix + name }
	if j.network == "" {
		return Range{}, fmt.Errorf("%s is missing (Enable%s is true)", key("Network"), j.family)
	}
	p, err := netip.ParsePrefix(j.network)
	if err != nil || FamilyOf(p.Addr()) != j.family || p.Addr().Is4In6() {
		return Range{}, fmt.Errorf("%s %.80q is not an %s prefix like %s", key("Network"), j.network, j.family, example[j.family])
	}
	r := Range{Prefix: p.Masked(), SubnetLen: j.length}
	if p.Bits() == 0 {
		return Range{}, fmt.Errorf("%s %s is the whole Internet", key("Network"), p)
	}
	if a := r.Prefix.Addr(); a.IsLoopback() || a.IsMulticast() || a.IsLinkLocalUnicast() {
		return Range{}, fmt.Errorf("%s %s cannot be the network of pods", key("Network"), p)
	}
	if longest := j.family.Bits() - 4; p.Bits() > longest {
		return Range{}, fmt.Errorf("%s %s is too small: /%d at the most", key("Network"), p, longest)
	}
	if r.SubnetLen == 0 {
		r.SubnetLen = max(defaultSubnetLen[j.family], p.Bits()+minSubnets)
	}
	if longest := j.family.Bits() - 2; r.SubnetLen < 1 || r.SubnetLen > longest {
		return Range{}, fmt.Errorf("%s %d is not between 1 and %d", key("SubnetLen"), r.SubnetLen, longest)
	}
	if r.SubnetLen < p.Bits()+minSubnets {
		return Range{}, fmt.Errorf("%s %d leaves fewer than four subnets in %s %s", key("SubnetLen"), r.SubnetLen, key("Network"), p)
	}
	size := blockSize(j.family, r.SubnetLen)
	first, end := numberOf(r.Prefix.Addr()), numberOf(last(r.Prefix))
	// Skip the first subnet. Its first address is the network's own, and some programs treat that as a broadcast address.
	if r.Min, err = r.bound(key("SubnetMin"), j.min, first.add(size)); err != nil {
		return Range{}, err
	}
	if r.Max, err = r.bound(key("SubnetMax"), j.max, end.sub(size).add(number{lo: 1})); err != nil {
		return Range{}, err
	}
	if r.Max.Less(r.Min) {
		return Range{}, fmt.Errorf("%s %s is above %s %s", key("SubnetMin"), r.Min, key("SubnetMax"), r.Max)
	}
	return r, nil
}

var (
	example          = map[Family]string{IPv4: "10.5.0.0/16", IPv6: "fd00:5::/48"}
	unspecified      = map[Family]string{IPv4: "0.0.0.0", IPv6: "::"}
	defaultSubnetLen = map[Family]int{IPv4: 24, IPv6: 64}
)

// bound parses SubnetMin or SubnetMax. It must be the first address of a pod subnet in the network. Flannel writes
// 0.0.0.0 or :: if it is not set.
func (r Range) bound(key, text string, otherwise number) (netip.Addr, error) {
	f := FamilyOf(r.Prefix.Addr())
	if text == "" || text == unspecified[f] {
		return otherwise.addr(f), nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil || !r.Prefix.Contains(a) {
		return netip.Addr{}, fmt.Errorf("%s %.80q is not an address in %s", key, text, r.Prefix)
	}
	if block := netip.PrefixFrom(a, r.SubnetLen); !aligned(block) {
		return netip.Addr{}, fmt.Errorf("%s %s does not begin a /%d: the nearest that does is %s", key, a, r.SubnetLen, block.Masked().Addr())
	}
	return a, nil
}

// Whole returns the network without SubnetMin and SubnetMax: pods can have all its addresses. It is for stores that do not
// choose pod subnets.
func (n Network) Whole() Network {
	n.IPv4, n.IPv6 = n.IPv4.whole(), n.IPv6.whole()
	return n
}

func (r Range) whole() Range {
	if !r.On() {
		return r
	}
	r.Min, r.Max = r.Prefix.Addr(), netip.PrefixFrom(last(r.Prefix), r.SubnetLen).Masked().Addr()
	return r
}
