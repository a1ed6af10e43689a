package eval

import (
	"encoding/binary"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/subnet"
)

// The conditions of iptables' rules, evaluated for the packets of a description.

// protocolIs compares the transport protocol; 0 is any.
func (p packet) protocolIs(protocol byte) match {
	switch {
	case protocol == 0 || p.Protocol == protocol:
		return always
	case p.Protocol == 0:
		return some
	}
	return never
}

type portRange struct{ low, high uint16 }

func (p packet) portIn(s side, r portRange) match {
	if r.low == 0 && r.high == 0xffff {
		return always
	}
	port := p.part(p.transport, [...]int{source: 0, destination: 2}[s], 2)
	lowest, highest := binary.BigEndian.Uint16(port.fill(0)), binary.BigEndian.Uint16(port.fill(0xff))
	return port.decide(lowest >= r.low && highest <= r.high, lowest > r.high || highest < r.low)
}

func (p packet) portInAny(s side, ranges []portRange) match {
	result := never
	for _, r := range ranges {
		switch m := p.portIn(s, r); m {
		case always:
			return always
		case never:
		default:
			result = m
		}
	}
	return result
}

// addressIn compares an address with a prefix.
func (p packet) addressIn(s side, prefix netip.Prefix) match {
	if subnet.FamilyOf(prefix.Addr()) != p.Family {
		return never
	}
	have := p.part(p.network, addressOffset(s, p.Family), p.Family.Bits()/8)
	want := prefixBits(prefix)
	for i := range want.known {
		have.value[i], have.known[i] = have.value[i]&want.known[i], have.known[i]|^want.known[i]
	}
	return have.compare(unix.NFT_CMP_EQ, want.value)
}

// nameMatches compares the name of an interface with a pattern. A pattern that ends with + matches a prefix.
func (i Interface) nameMatches(pattern string) match {
	beginning, isPrefix := strings.CutSuffix(pattern, "+")
	switch {
	case isPrefix && beginning == "":
		return always
	case i.Name == "" && !i.none:
		return some
	case isPrefix:
		return matchIf(strings.HasPrefix(i.Name, beginning))
	}
	return matchIf(i.Name == pattern)
}
