package nft

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Attrs is a list of netlink attributes, as the kernel returned it. It is not copied, because an answer may have tens of
// thousands.
type Attrs []byte

// attribute is one attribute of a list.
type attribute struct {
	kind   uint16
	nested bool // NLA_F_NESTED is set: only in our own messages, because the kernel omits it
	data   Attrs
}

// next splits the first attribute off a list (netlink(7)):
//
//	| length: 16 bits | type: 16 bits | data | zeros up to a multiple of four bytes |
//
// A malformed attribute ends the list.
func (a Attrs) next() (first attribute, rest Attrs, ok bool) {
	if len(a) < unix.NLA_HDRLEN {
		return attribute{}, nil, false
	}
	n := int(binary.NativeEndian.Uint16(a))
	if n < unix.NLA_HDRLEN || n > len(a) {
		return attribute{}, nil, false
	}
	t := binary.NativeEndian.Uint16(a[2:])
	first = attribute{t &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER), t&unix.NLA_F_NESTED != 0, a[unix.NLA_HDRLEN:n]}
	return first, a[min((n+3)&^3, len(a)):], true
}

// Find returns the first attribute of a kind.
func (a Attrs) Find(kind uint16) (data Attrs, found bool) {
	for len(a) > 0 {
		first, rest, ok := a.next()
		if !ok {
			return nil, false
		}
		if first.kind == kind {
			return first.data, true
		}
		a = rest
	}
	return nil, false
}

// Data returns the first attribute of a kind, or nil. It may be a list itself.
func (a Attrs) Data(kind uint16) Attrs {
	data, _ := a.Find(kind)
	return data
}

// Text returns an attribute as text; empty if there is none.
func (a Attrs) Text(kind uint16) string { return unix.ByteSliceToString(a.Data(kind)) }

// Number returns an attribute of four bytes in network byte order; 0 if there is none.
func (a Attrs) Number(kind uint16) uint32 {
	if b := a.Data(kind); len(b) == 4 {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// number64 is Number for eight bytes. ok reports whether there is one.
func (a Attrs) number64(kind uint16) (n uint64, ok bool) {
	b := a.Data(kind)
	if len(b) != 8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(b), true
}

// Expr returns the name of an expression, such as "payload", and its attributes.
func (a Attrs) Expr() (name string, data Attrs) {
	return a.Text(unix.NFTA_EXPR_NAME), a.Data(unix.NFTA_EXPR_DATA)
}

// every reports whether all attributes of a list meet a condition. It returns false if the list is malformed or has a kind
// twice.
func (a Attrs) every(meets func(attribute) bool) bool {
	for len(a) > 0 {
		first, rest, ok := a.next()
		if !ok || !meets(first) {
			return false
		}
		if _, twice := rest.Find(first.kind); twice {
			return false
		}
		a = rest
	}
	return true
}
