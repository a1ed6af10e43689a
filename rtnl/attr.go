package rtnl

import (
	"bytes"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Attrs walks over attributes in place:
//
//	for a := rtnl.AttrsOf(data); a.Next(); {
//		switch a.Type { case unix.RTA_OIF: use(a.Uint32()) }
//	}
//
// It allocates nothing. Attributes that run over the end of the data, as no kernel sends them, end the walk.
type Attrs struct {
	Type  uint16 // without the flag NLA_F_NESTED
	Value []byte // valid as long as the data is
	rest  []byte
}

// AttrsOf walks over the attributes in data.
func AttrsOf(data []byte) Attrs { return Attrs{rest: data} }

// Next steps to the next attribute; false where there is none.
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

// Uint8 is the value as a number; 0 where it has another length.
func (a *Attrs) Uint8() uint8 {
	if len(a.Value) != 1 {
		return 0
	}
	return a.Value[0]
}

// Uint32 is the value as a number; 0 where it has another length.
func (a *Attrs) Uint32() uint32 {
	if len(a.Value) != 4 {
		return 0
	}
	return native.Uint32(a.Value)
}

// Port is the value as a port in the order of the wire; 0 where it has another length.
func (a *Attrs) Port() uint16 {
	if len(a.Value) != 2 {
		return 0
	}
	return uint16(a.Value[0])<<8 | uint16(a.Value[1])
}

// Addr is the value as an IP address; not valid where it has neither 4 nor 16 bytes.
func (a *Attrs) Addr() netip.Addr {
	addr, _ := netip.AddrFromSlice(a.Value)
	return addr
}

// Text is the value as a string without the zero that ends it.
func (a *Attrs) Text() string { return string(bytes.TrimRight(a.Value, "\x00")) }

// Array32 is the i-th number of an array, counted from 1 as the kernel counts settings; false where it is too short.
func (a *Attrs) Array32(i int) (uint32, bool) {
	if i < 1 || len(a.Value) < 4*i {
		return 0, false
	}
	return native.Uint32(a.Value[4*(i-1):]), true
}

// Nested walks over the attributes within.
func (a *Attrs) Nested() Attrs { return AttrsOf(a.Value) }

// Message is one message from the kernel, in place.
type Message struct {
	Type, Flags uint16
	Seq         uint32
	Body        []byte // the family's header and the attributes; valid until the next read
}

// Header is the first n bytes of the body and the attributes that follow; false where the body is shorter.
func (m Message) Header(n int) ([]byte, Attrs, bool) {
	if len(m.Body) < n {
		return nil, Attrs{}, false
	}
	return m.Body[:n], AttrsOf(m.Body[n:]), true
}

// Next cuts the first message off data; false where there is none, or only a part of one.
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
