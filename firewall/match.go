package firewall

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strings"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/subnet"
)

// part is a piece of a rule: what nft prints for it, and what the kernel is given.
type part struct {
	text  string
	exprs []expr.Any
}

func newRule(parts ...part) rule {
	var r rule
	var texts []string
	for _, p := range parts {
		if p.text != "" {
			texts = append(texts, p.text)
		}
		r.exprs = append(r.exprs, p.exprs...)
	}
	r.text = strings.Join(texts, " ")
	return r
}

// register is where each match loads what it compares: the first of the 128-bit ones.
const register = unix.NFT_REG_1

// ofFamily narrows a rule of an inet table to one family. nft does not print it: the address after it says as much.
func ofFamily(f subnet.Family) part {
	proto := byte(unix.NFPROTO_IPV4)
	if f == subnet.IPv6 {
		proto = unix.NFPROTO_IPV6
	}
	return part{exprs: []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: register},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: []byte{proto}},
	}}
}

// side is an address of the packet.
type side int

const (
	source side = iota
	destination
)

// offset is where the address stands in the header (RFC 791 section 3.1, RFC 8200 section 3), in bytes.
func (s side) offset(f subnet.Family) uint32 {
	if f == subnet.IPv4 {
		return [...]uint32{12, 16}[s]
	}
	return [...]uint32{8, 24}[s]
}

// address compares an address of the packet with a prefix. As nft and iptables do, it loads no more bytes than the
// prefix has where that is a whole number, so that they print the rule as a prefix, and save and restore it unchanged.
func address(s side, op expr.CmpOp, p netip.Prefix) part {
	f := subnet.FamilyOf(p.Addr())
	value := p.Masked().Addr().AsSlice()
	load := &expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: s.offset(f)}
	exprs := []expr.Any{load}
	if p.Bits()%8 == 0 {
		value = value[:p.Bits()/8]
	} else {
		exprs = append(exprs, &expr.Bitwise{
			SourceRegister: register, DestRegister: register, Len: uint32(len(value)), //nolint:gosec // 4 or 16
			Mask: net.CIDRMask(p.Bits(), f.Bits()), Xor: make([]byte, len(value)),
		})
	}
	load.Len = uint32(len(value)) //nolint:gosec // at most 16
	exprs = append(exprs, &expr.Cmp{Op: op, Register: register, Data: value})
	text := [...]string{subnet.IPv4: "ip ", subnet.IPv6: "ip6 "}[f] + [...]string{"saddr ", "daddr "}[s]
	if op == expr.CmpOpNeq {
		text += "!= "
	}
	return part{text + p.Masked().String(), exprs}
}

// addrType is the kind of a route's destination (rtnetlink(7), rtm_type).
type addrType uint32

const (
	local     addrType = unix.RTN_LOCAL
	broadcast addrType = unix.RTN_BROADCAST
)

func (t addrType) String() string {
	if t == local {
		return "local"
	}
	return "broadcast"
}

// notTo matches a destination that is not of the given kind in the node's own routes.
func notTo(t addrType) part {
	return part{"fib daddr type != " + t.String(), []expr.Any{
		&expr.Fib{Register: register, FlagDADDR: true, ResultADDRTYPE: true},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: binary.NativeEndian.AppendUint32(nil, uint32(t))},
	}}
}

func masquerade() part {
	return part{"masquerade fully-random", []expr.Any{&expr.Masq{FullyRandom: true}}}
}

func counter() part { return part{"counter", []expr.Any{&expr.Counter{}}} }

func accept() part { return part{"accept", []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}}} }
