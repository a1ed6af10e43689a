package rtnl

import (
	"bytes"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Attrs iterates over attributes without copying them:
//
//	for a := rtnl.AttrsOf(data); a.Next(); {
//		switch a.Type { case unix.RTA_OIF: use(a.Uint32()) }
//	}
//
// It allocates nothing. An attribute longer than the data ends the iteration; no kernel sends one.
type Attrs struct {
	Type  uint16 // without the flag NLA_F_NESTED
	Value []byte // valid as long as the data is
	rest  []byte
}

// AttrsOf returns an iterator over the attributes in data.
func AttrsOf(data []byte) Attrs { return Attrs{rest: data} }

// Next advances to the next attribute. It returns false if there is none.
func (a *Attrs) Next() bool {
	if len(a.rest) < unix.SizeofRtAttr {
		return false
	}
	length := int(native.Uint16(a.rest))
	if length < unix.SizeofRtAttr || length > len(a.rest) {
		return false
	}
	a.Type = native.Uint16(a.rest[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
	a.Value = a.rest[unix.SizeofRtAttr:length]
	a.rest = a.rest[min(align(length), len(a.rest)):]
	return true
}

// Uint8 returns the value as a number, or 0 if it has another length.
func (a *Attrs) Uint8() uint8 {
	if len(a.Value) != 1 {
		return 0
	}
	return a.Value[0]
}

// Uint32 returns the value as a number, or 0 if it has another length.
func (a *Attrs) Uint32() uint32 {
	if len(a.Value) != 4 {
		return 0
	}
	return native.Uint32(a.Value)
}

// Port returns the value as a port in network byte order, or 0 if it has another length.
func (a *Attrs) Port() uint16 {
	if len(a.Value) != 2 {
		return 0
	}
	return uint16(a.Value[0])<<8 | uint16(a.Value[1])
}

// Addr returns the value as an IP address. It is not valid unless the value has 4 or 16 bytes.
func (a *Attrs) Addr() netip.Addr {
	addr, _ := netip.AddrFromSlice(a.Value)
	return addr
}

// Text returns the value as a string without the final zero byte.
func (a *Attrs) Text() string { return string(bytes.TrimRight(a.Value, "\x00")) }

// Array32 returns the i-th 32-bit number of an array, counted from 1 like the kernel's DEVCONF settings. It returns
// false if the array is too short.
func (a *Attrs) Array32(i int) (uint32, bool) {
	if i < 1 || len(a.Value) < 4*i {
		return 0, false
	}
	return native.Uint32(a.Value[4*(i-1):]), true
}

// Nested returns an iterator over the attributes inside this one.
func (a *Attrs) Nested() Attrs { return AttrsOf(a.Value) }

// Message is one message from the kernel. Its body is not copied.
type Message struct {
	Type, Flags uint16
	Seq         uint32
	Body        []byte // the family's header and the attributes; valid until the next read
}

// Header returns the first n bytes of the body, and the attributes after them. It returns false if the body is
// shorter.
func (m Message) Header(n int) ([]byte, Attrs, bool) {
	if len(m.Body) < n {
		return nil, Attrs{}, false
	}
	return m.Body[:n], AttrsOf(m.Body[n:]), true
}

// Next returns the first message in data, and the data after it. It returns false if data has no complete message.
func Next(data []byte) (m Message, rest []byte, ok bool) {
	if len(data) < unix.SizeofNlMsghdr {
		return m, nil, false
	}
	length := int(native.Uint32(data))
	if length < unix.SizeofNlMsghdr || length > len(data) {
		return m, nil, false
	}
	m = Message{native.Uint16(data[4:]), native.Uint16(data[6:]), native.Uint32(data[8:]), data[unix.SizeofNlMsghdr:length]}
	return m, data[min(align(length), len(data)):], true
}

func align(n int) int { return (n + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1) }
