package subnet

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Pair holds the pod subnets of one node: an IPv4 prefix, an IPv6 prefix, or both. An absent half is the zero Prefix.
type Pair struct{ IPv4, IPv6 netip.Prefix }

// Half returns the pair's prefix of one family. It is not valid if the pair has none.
func (p Pair) Half(f Family) netip.Prefix {
	if f == IPv4 {
		return p.IPv4
	}
	return p.IPv6
}

// With returns the pair with one half replaced.
func (p Pair) With(f Family, half netip.Prefix) Pair {
	if f == IPv4 {
		p.IPv4 = half
	} else {
		p.IPv6 = half
	}
	return p
}

// Overlaps reports whether a half of p shares an address with the same half of q.
func (p Pair) Overlaps(q Pair) bool {
	return p.IPv4.Overlaps(q.IPv4) || p.IPv6.Overlaps(q.IPv6) // an absent half overlaps nothing
}

// IsZero reports whether the pair has no half.
func (p Pair) IsZero() bool { return p == Pair{} }

// String returns the pair for people: 10.5.34.0/24, or 10.5.34.0/24 and fd00:5:22::/64.
func (p Pair) String() string {
	switch {
	case p.IsZero():
		return "no pod subnet"
	case !p.IPv6.IsValid():
		return p.IPv4.String()
	case !p.IPv4.IsValid():
		return p.IPv6.String()
	}
	return p.IPv4.String() + " and " + p.IPv6.String()
}

// noIPv4 is what flannel writes for the IPv4 half of an IPv6-only key. The pair of such a key has no IPv4 half.
const noIPv4 = "0.0.0.0-0"

// Key returns the last part of the lease's key in etcd, as flannel writes it: 10.5.34.0-24, 10.5.34.0-24&fd00:5:22::-64,
// or 0.0.0.0-0&fd00:5:22::-64.
func (p Pair) Key() string {
	key := noIPv4
	if p.IPv4.IsValid() {
		key = keyHalf(p.IPv4)
	}
	if p.IPv6.IsValid() {
		key += "&" + keyHalf(p.IPv6)
	}
	return key
}

func keyHalf(p netip.Prefix) string { return p.Addr().String() + "-" + strconv.Itoa(p.Bits()) }

// ParseKey parses the last part of a lease's key. It accepts only what Key writes, so two keys never mean the same pair.
func ParseKey(key string) (Pair, error) {
	v4, v6, hasIPv6 := strings.Cut(key, "&")
	var p Pair
	good := true
	if v4 != noIPv4 || !hasIPv6 {
		p.IPv4, good = parseKeyHalf(IPv4, v4)
	}
	if good && hasIPv6 {
		p.IPv6, good = parseKeyHalf(IPv6, v6)
	}
	if !good || p.Key() != key {
		return Pair{}, fmt.Errorf("key %.80q is not a lease: want a name like 10.5.34.0-24 or 10.5.34.0-24&fd00:5:22::-64", key)
	}
	return p, nil
}

func parseKeyHalf(f Family, s string) (netip.Prefix, bool) {
	a, length, _ := strings.Cut(s, "-")
	p, err := netip.ParsePrefix(a + "/" + length)
	return p, err == nil && FamilyOf(p.Addr()) == f && !p.Addr().Is4In6() && aligned(p) && p.Bits() > 0
}

// FirstOfEachFamily returns the first prefix of each family, without the bits after it. If a text is not a prefix, or is the
// whole address space, it returns that text, and ok is false.
func FirstOfEachFamily(prefixes []string) (p Pair, invalid string, ok bool) {
	for _, text := range prefixes {
		prefix, err := netip.ParsePrefix(text)
		if err != nil || prefix.Addr().Is4In6() || prefix.Bits() == 0 {
			return Pair{}, text, false
		}
		if f := FamilyOf(prefix.Addr()); !p.Half(f).IsValid() {
			p = p.With(f, prefix.Masked())
		}
	}
	return p, "", true
}
