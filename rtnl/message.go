// Package rtnl is a fast client for rtnetlink (RFC 3549, rtnetlink(7)). It sends many requests in one sendmsg with one
// acknowledgement, and does not copy dumps. It encodes and decodes messages and attributes; the caller knows their
// meaning.
package rtnl

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// native is the byte order of netlink: the machine's own, except for values that go on the wire.
var native = binary.NativeEndian

// Batch holds requests in the form in which they are sent. The zero Batch is empty and ready for use.
//
//	 nlmsghdr        family header   attributes
//	| len type ... |               | len type value, padded to 4 | ... |
type Batch struct {
	buf    []byte
	starts []int // offset of each request
}

// Len returns the number of requests.
func (b *Batch) Len() int { return len(b.starts) }

// Reset empties the batch. Its memory is reused.
func (b *Batch) Reset() { b.buf, b.starts = b.buf[:0], b.starts[:0] }

// Grow makes room for more requests of about 64 bytes each.
func (b *Batch) Grow(requests int) {
	b.starts = slices.Grow(b.starts, requests)
	b.buf = slices.Grow(b.buf, 64*requests)
}

// Start begins a request. kind is its type (unix.RTM_...), flags are those besides NLM_F_REQUEST. header is the
// header of its family (struct ndmsg, rtmsg, ...). Its length must be a multiple of 4.
func (b *Batch) Start(kind, flags uint16, header ...byte) {
	b.starts = append(b.starts, len(b.buf))
	b.buf = append(b.buf, make([]byte, unix.SizeofNlMsghdr)...)
	h := b.buf[b.last():]
	native.PutUint16(h[4:], kind)
	native.PutUint16(h[6:], flags|unix.NLM_F_REQUEST)
	b.buf = append(b.buf, header...)
	b.closeLast()
}

// Bytes adds an attribute with any value.
func (b *Batch) Bytes(attr uint16, value []byte) {
	b.attr(attr, len(value))
	b.buf = append(b.buf, value...)
	b.pad()
}

// String adds an attribute with a string and a final zero byte.
func (b *Batch) String(attr uint16, value string) {
	b.attr(attr, len(value)+1)
	b.buf = append(append(b.buf, value...), 0)
	b.pad()
}

// Uint8 adds an attribute with an 8-bit number.
func (b *Batch) Uint8(attr uint16, value uint8) {
	b.attr(attr, 1)
	b.buf = append(b.buf, value)
	b.pad()
}

// Port adds an attribute with a port in network byte order.
func (b *Batch) Port(attr, value uint16) {
	b.attr(attr, 2)
	b.buf = binary.BigEndian.AppendUint16(b.buf, value)
	b.pad()
}

// Uint32 adds an attribute with a 32-bit number.
func (b *Batch) Uint32(attr uint16, value uint32) {
	b.attr(attr, 4)
	b.buf = native.AppendUint32(b.buf, value)
	b.closeLast()
}

// Addr adds an attribute with an IP address of 4 or 16 bytes.
func (b *Batch) Addr(attr uint16, value netip.Addr) {
	if value.Is4() {
		a := value.As4()
		b.Bytes(attr, a[:])
		return
	}
	a := value.As16()
	b.Bytes(attr, a[:])
}

// Nest adds an attribute that contains the attributes which fill adds.
func (b *Batch) Nest(attr uint16, fill func()) {
	start := len(b.buf)
	b.attr(attr, 0)
	fill()
	native.PutUint16(b.buf[start:], uint16(len(b.buf)-start)) //nolint:gosec // a request of ours has some hundred bytes
}

func (b *Batch) attr(attr uint16, length int) {
	b.buf = native.AppendUint16(b.buf, uint16(unix.SizeofRtAttr+length)) //nolint:gosec // as in Nest
	b.buf = native.AppendUint16(b.buf, attr)
	b.closeLast()
}

func (b *Batch) pad() {
	for len(b.buf)%unix.NLMSG_ALIGNTO != 0 {
		b.buf = append(b.buf, 0)
	}
	b.closeLast()
}

// closeLast updates the length of the last request.
func (b *Batch) closeLast() {
	native.PutUint32(b.buf[b.last():], uint32(len(b.buf)-b.last())) //nolint:gosec // as in Nest
}

func (b *Batch) last() int { return b.starts[len(b.starts)-1] }

// seal numbers the requests [from, to) from seq on. It asks for an acknowledgement of the last one only. It returns
// their bytes.
func (b *Batch) seal(from, to int, seq uint32) []byte {
	for i := from; i < to; i++ {
		h := b.buf[b.starts[i]:]
		native.PutUint32(h[8:], seq+uint32(i-from)) //nolint:gosec // a part of a batch has at most some thousand
		flags := native.Uint16(h[6:]) &^ unix.NLM_F_ACK
		if i == to-1 {
			flags |= unix.NLM_F_ACK
		}
		native.PutUint16(h[6:], flags)
	}
	return b.buf[b.starts[from]:b.end(to-1)]
}

// end returns the offset at which request i ends.
func (b *Batch) end(i int) int {
	if i+1 < len(b.starts) {
		return b.starts[i+1]
	}
	return len(b.buf)
}
