package firewall

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// attribute is one of a list of netlink attributes. Lists stay as they came and are walked in place: there may be tens of
// thousands of attributes in an answer.
type attribute struct {
	kind   uint16
	nested bool // as the writer says; the kernel leaves the mark out of its answers
	data   []byte
}

// nextAttribute cuts the first attribute off a list: its length and type in 16 bits each, its data, and zeros up to a
// multiple of four bytes (netlink(7)). What is no attribute ends the list.
func nextAttribute(list []byte) (a attribute, rest []byte, ok bool) {
	if len(list) < unix.NLA_HDRLEN {
		return attribute{}, nil, false
	}
	n := int(binary.NativeEndian.Uint16(list))
	if n < unix.NLA_HDRLEN || n > len(list) {
		return attribute{}, nil, false
	}
	t := binary.NativeEndian.Uint16(list[2:])
	a = attribute{t &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER), t&unix.NLA_F_NESTED != 0, list[unix.NLA_HDRLEN:n]}
	return a, list[min((n+3)&^3, len(list)):], true
}

// find returns the data of the first attribute of a kind in a list.
func find(list []byte, kind uint16) (data []byte, found bool) {
	for len(list) > 0 {
		a, rest, ok := nextAttribute(list)
		if !ok {
			return nil, false
		}
		if a.kind == kind {
			return a.data, true
		}
		list = rest
	}
	return nil, false
}

// every tells whether a list is nothing but attributes, each of another kind, that all meet a condition.
func every(list []byte, meets func(attribute) bool) bool {
	for len(list) > 0 {
		a, rest, ok := nextAttribute(list)
		if !ok || !meets(a) {
			return false
		}
		if _, twice := find(rest, a.kind); twice {
			return false
		}
		list = rest
	}
	return true
}
