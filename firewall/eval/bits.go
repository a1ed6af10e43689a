package eval

import (
	"bytes"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// bits holds bytes. Some of their bits are known.
type bits struct {
	value, known []byte
	unsupported  bool // the evaluation does not support their source
	hasBlank     bool // a field in them, such as a port or a mark, has no known bit
}

func knownBits(b []byte) bits { return bits{value: b, known: bytes.Repeat([]byte{0xff}, len(b))} }

func unknownBits(n int) bits { return bits{value: make([]byte, n), known: make([]byte, n)} }

// unsupportedBits returns bytes of a source that the evaluation does not support.
func unsupportedBits(n int) bits {
	b := unknownBits(n)
	b.unsupported = true
	return b
}

// prefixBits returns the bits that all addresses of a prefix share.
func prefixBits(p netip.Prefix) bits {
	return bits{value: p.Masked().Addr().AsSlice(), known: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// part returns n bytes from an offset on. Bytes beyond the end are unknown.
func (b bits) part(from, n int) bits {
	part := unknownBits(n)
	part.unsupported = b.unsupported
	if from < len(b.value) {
		copy(part.value, b.value[from:])
		copy(part.known, b.known[from:])
	}
	return part
}

// fill returns the bytes, with a pattern in place of the unknown bits.
func (b bits) fill(pattern byte) []byte {
	all := make([]byte, len(b.value))
	for i := range all {
		all[i] = b.value[i]&b.known[i] | pattern&^b.known[i]
	}
	return all
}

// compare compares the bytes with a value. Like the kernel, it treats both as big-endian numbers.
func (b bits) compare(op uint32, value []byte) match {
	low, high := b.fill(0), b.fill(0xff)
	switch op {
	case unix.NFT_CMP_EQ:
		return b.equal(value)
	case unix.NFT_CMP_NEQ:
		return b.equal(value).not()
	case unix.NFT_CMP_LT, unix.NFT_CMP_GTE:
		m := b.decide(bytes.Compare(high, value) < 0, bytes.Compare(low, value) >= 0)
		if op == unix.NFT_CMP_GTE {
			return m.not()
		}
		return m
	case unix.NFT_CMP_LTE, unix.NFT_CMP_GT:
		m := b.decide(bytes.Compare(high, value) <= 0, bytes.Compare(low, value) > 0)
		if op == unix.NFT_CMP_GT {
			return m.not()
		}
		return m
	}
	return unsupported
}

func (b bits) equal(value []byte) match {
	m := always
	for i, v := range value {
		if (v^b.value[i])&b.known[i] != 0 {
			return never
		}
		if b.known[i] != 0xff {
			m = b.undecided()
		}
	}
	return m
}

// undecided returns the match of a condition that depends on unknown bits.
func (b bits) undecided() match {
	if b.unsupported {
		return unsupported
	}
	return some
}

// decide returns the match of a condition that certainly holds, certainly does not hold, or depends on unknown bits.
func (b bits) decide(holds, fails bool) match {
	switch {
	case holds:
		return always
	case fails:
		return never
	}
	return b.undecided()
}

func isZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }
