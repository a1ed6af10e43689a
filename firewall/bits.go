package firewall

import (
	"bytes"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// bits holds bytes. Some of their bits are known.
type bits struct {
	value, known []byte
	unsupported  bool // podlaned cannot evaluate where they come from
	blank        bool // they have a part of which no bit is known, like a port or a mark
}

func exactly(b []byte) bits { return bits{value: b, known: bytes.Repeat([]byte{0xff}, len(b))} }

func unknown(n int) bits { return bits{value: make([]byte, n), known: make([]byte, n)} }

// cut returns a part of them. Bits beyond their end are unknown.
func (b bits) cut(from, n int) bits {
	part := unknown(n)
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

// inPrefix returns the bits that all addresses of a prefix share.
func inPrefix(p netip.Prefix) bits {
	return bits{value: p.Masked().Addr().AsSlice(), known: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// compare compares them with a value as big-endian numbers, as the kernel does.
func (b bits) compare(op uint32, value []byte) match {
	low, high := b.fill(0), b.fill(0xff)
	switch op {
	case unix.NFT_CMP_EQ, unix.NFT_CMP_NEQ:
		m := always
		for i, v := range value {
			if (v^b.value[i])&b.known[i] != 0 {
				m = never
				break
			}
			if b.known[i] != 0xff {
				m = b.open()
			}
		}
		if op == unix.NFT_CMP_NEQ {
			return m.not()
		}
		return m
	case unix.NFT_CMP_LT, unix.NFT_CMP_GTE:
		m := b.between(bytes.Compare(high, value) < 0, bytes.Compare(low, value) >= 0)
		if op == unix.NFT_CMP_GTE {
			return m.not()
		}
		return m
	case unix.NFT_CMP_LTE, unix.NFT_CMP_GT:
		m := b.between(bytes.Compare(high, value) <= 0, bytes.Compare(low, value) > 0)
		if op == unix.NFT_CMP_GT {
			return m.not()
		}
		return m
	}
	return unsupported
}

// open returns the result of a comparison with unknown bits.
func (b bits) open() match {
	if b.unsupported {
		return unsupported
	}
	return some
}

// between returns the match if the result is one of two values.
func (b bits) between(yes, no bool) match {
	switch {
	case yes:
		return always
	case no:
		return never
	}
	return b.open()
}

func isZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }
