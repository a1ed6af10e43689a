package firewall

import (
	"bytes"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// bits are bytes of which some bits are known.
type bits struct {
	value, known []byte
	untold       bool // podlaned cannot evaluate where they come from
	blank        bool // they have a part of which no bit is known, like a port or a mark
}

func exactly(b []byte) bits { return bits{value: b, known: bytes.Repeat([]byte{0xff}, len(b))} }

func unknown(n int) bits { return bits{value: make([]byte, n), known: make([]byte, n)} }

// cut returns a part of them. What lies beyond their end is unknown.
func (b bits) cut(from, n int) bits {
	part := unknown(n)
	part.untold = b.untold
	if from < len(b.value) {
		copy(part.value, b.value[from:])
		copy(part.known, b.known[from:])
	}
	return part
}

// fill returns the bytes with each unknown bit taken from a pattern.
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

// compare compares with a value as numbers of big-endian bytes, as the kernel does.
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
	return untold
}

// open returns what a comparison with unknown bits yields.
func (b bits) open() match {
	if b.untold {
		return untold
	}
	return some
}

// between returns the match of which is known that it is one or the other.
func (b bits) between(yes, no bool) match {
	switch {
	case yes:
		return always
	case no:
		return never
	}
	return b.open()
}
