package subnet

import (
	"encoding/binary"
	"math/big"
	"math/bits"
	"net/netip"
	"slices"
)

// number is an address as an unsigned 128-bit integer; IPv4 addresses use the low 32 bits.
type number struct{ hi, lo uint64 }

func numberOf(a netip.Addr) number {
	if a.Is4() {
		b := a.As4()
		return number{lo: uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := a.As16()
	return number{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (n number) addr(f Family) netip.Addr {
	if f == IPv4 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(n.lo)) //nolint:gosec // an IPv4 number has 32 bits
		return netip.AddrFrom4(b)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], n.hi)
	binary.BigEndian.PutUint64(b[8:], n.lo)
	return netip.AddrFrom16(b)
}

func (n number) add(m number) number {
	lo, carry := bits.Add64(n.lo, m.lo, 0)
	hi, _ := bits.Add64(n.hi, m.hi, carry)
	return number{hi, lo}
}

func (n number) sub(m number) number {
	lo, borrow := bits.Sub64(n.lo, m.lo, 0)
	hi, _ := bits.Sub64(n.hi, m.hi, borrow)
	return number{hi, lo}
}

func (n number) less(m number) bool { return n.hi < m.hi || n.hi == m.hi && n.lo < m.lo }

func (n number) big() *big.Int {
	b := new(big.Int).SetUint64(n.hi)
	return b.Lsh(b, 64).Add(b, new(big.Int).SetUint64(n.lo))
}

// blockSize returns the number of addresses in a prefix of the given length, modulo 2¹²⁸. It is zero for ::/0.
func blockSize(f Family, length int) number {
	host := f.Bits() - length
	if host >= 64 {
		return number{hi: 1 << (host - 64)}
	}
	return number{lo: 1 << host}
}

// last returns the highest address of a prefix.
func last(p netip.Prefix) netip.Addr {
	f := FamilyOf(p.Addr())
	return numberOf(p.Masked().Addr()).add(blockSize(f, p.Bits())).sub(number{lo: 1}).addr(f)
}

// aligned reports whether a prefix has no host bits: 10.5.34.0/24 has none, 10.5.34.1/24 has.
func aligned(p netip.Prefix) bool { return p.IsValid() && p == p.Masked() }

// Contains reports whether outer contains every address of inner. A prefix that is not valid contains nothing.
func Contains(outer, inner netip.Prefix) bool {
	return outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
}

// parents returns, for each prefix, the smallest other prefix that contains it, if one exists. If two prefixes overlap,
// one contains the other. So a prefix's chain of parents, at most 128, holds all prefixes that contain it.
func parents(prefixes []netip.Prefix) map[netip.Prefix]netip.Prefix {
	slices.SortFunc(prefixes, netip.Prefix.Compare) // each prefix comes after those that contain it
	parent := make(map[netip.Prefix]netip.Prefix)
	var open []netip.Prefix // the previous prefix and those that contain it, the smallest last
	for _, p := range slices.Compact(prefixes) {
		for len(open) > 0 && !Contains(open[len(open)-1], p) {
			open = open[:len(open)-1]
		}
		if len(open) > 0 {
			parent[p] = open[len(open)-1]
		}
		open = append(open, p)
	}
	return parent
}
