package firewall

import (
	"net/netip"
	"strings"

	"github.com/podlane/podlane/subnet"
)

// The conditions of iptables rules, evaluated for the packets of a description.

// protocolIs compares the transport protocol; 0 is any.
func (p packet) protocolIs(proto byte) match {
	switch {
	case proto == 0 || p.proto == proto:
		return always
	case p.proto == 0:
		return some
	}
	return never
}

type portRange struct{ low, high uint16 }

func (p packet) portIn(s side, low, high uint16) match {
	if low == 0 && high == 0xffff {
		return always
	}
	port := p.part(p.transport, [...]int{source: 0, destination: 2}[s], 2)
	from, to := number16(port.fill(0)), number16(port.fill(0xff))
	return port.between(from >= low && to <= high, from > high || to < low)
}

func number16(b []byte) uint16 { return uint16(b[0])<<8 | uint16(b[1]) }

func (p packet) portInAny(s side, ranges []portRange) match {
	result := never
	for _, r := range ranges {
		switch m := p.portIn(s, r.low, r.high); m {
		case always:
			return always
		case never:
		default:
			result = m
		}
	}
	return result
}

// addressIs compares an address with a prefix.
func (p packet) addressIs(s side, prefix netip.Prefix) match {
	if subnet.FamilyOf(prefix.Addr()) != p.family {
		return never
	}
	have := p.part(p.network, int(s.offset(p.family)), p.family.Bits()/8)
	want := inPrefix(prefix)
	for i := range want.known {
		have.value[i], have.known[i] = have.value[i]&want.known[i], have.known[i]|^want.known[i]
	}
	return have.compare(0, want.value)
}

// nameIs compares the name of an interface with a pattern. A pattern that ends with + matches a prefix.
func (d device) nameIs(pattern string) match {
	beginning, wild := strings.CutSuffix(pattern, "+")
	switch {
	case wild && beginning == "":
		return always
	case d.name == "" && !d.none:
		return some
	case wild:
		return when(strings.HasPrefix(d.name, beginning))
	}
	return when(d.name == pattern)
}
