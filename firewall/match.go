package firewall

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/nft"
	"github.com/podlane/podlane/subnet"
)

// part is a part of a rule, with the text that nft prints for it.
type part struct {
	text  string
	exprs []expr.Any
}

func newRule(parts ...part) nft.Rule {
	all := join(parts...)
	return nft.Rule{Text: all.text, Exprs: all.exprs}
}

func join(parts ...part) part {
	var all part
	var texts []string
	for _, p := range parts {
		if p.text != "" {
			texts = append(texts, p.text)
		}
		all.exprs = append(all.exprs, p.exprs...)
	}
	all.text = strings.Join(texts, " ")
	return all
}

// register is the register that every match uses: the first one of 128 bits.
const register = unix.NFT_REG_1

// ofFamily matches one family in an inet table. nft does not print it, because the address after it shows the family.
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

// anyOf is ofFamily without an address after it: then nft prints it.
func anyOf(f subnet.Family) part {
	return part{"meta nfproto " + strings.ToLower(f.String()), ofFamily(f).exprs}
}

// side is the packet's source or destination.
type side int

const (
	source side = iota
	destination
)

// offset returns the address's offset in the IP header, in bytes (RFC 791 section 3.1, RFC 8200 section 3).
func (s side) offset(f subnet.Family) uint32 {
	if f == subnet.IPv4 {
		return [...]uint32{12, 16}[s]
	}
	return [...]uint32{8, 24}[s]
}

// address compares a packet's address with a prefix. If the prefix has whole bytes, it loads only these, like nft and
// iptables. So they print the rule as a prefix, and save and restore it unchanged.
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
	text := addressText(s, f)
	if op == expr.CmpOpNeq {
		text += "!= "
	}
	if p.IsSingleIP() {
		return part{text + p.Addr().String(), exprs}
	}
	return part{text + p.Masked().String(), exprs}
}

// inside matches a packet's address in an interval.
func inside(s side, i subnet.Interval) part { return compare(s, expr.CmpOpEq, i) }

// outside matches a packet's address in none of the intervals.
func outside(s side, intervals []subnet.Interval) part {
	var parts []part
	for _, i := range intervals {
		parts = append(parts, compare(s, expr.CmpOpNeq, i))
	}
	return join(parts...)
}

// compare compares a packet's address with an interval, or a prefix if it is one.
func compare(s side, op expr.CmpOp, i subnet.Interval) part {
	if prefixes := i.Prefixes(); len(prefixes) == 1 {
		return address(s, op, prefixes[0])
	}
	f := subnet.FamilyOf(i.First)
	text := addressText(s, f)
	if op == expr.CmpOpNeq {
		text += "!= "
	}
	return part{text + i.String(), []expr.Any{
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: s.offset(f), Len: uint32(f.Bits() / 8)}, //nolint:gosec // 4 or 16
		&expr.Range{Op: op, Register: register, FromData: i.First.AsSlice(), ToData: i.Last.AsSlice()},
	}}
}

func addressText(s side, f subnet.Family) string {
	return [...]string{subnet.IPv4: "ip ", subnet.IPv6: "ip6 "}[f] + [...]string{"saddr ", "daddr "}[s]
}

// addrType is the type of an address in the node's routes (rtnetlink(7), rtm_type).
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

// destinationType compares the type of the packet's destination.
func destinationType(op expr.CmpOp, t addrType) part {
	text := "fib daddr type "
	if op == expr.CmpOpNeq {
		text += "!= "
	}
	return part{text + t.String(), []expr.Any{
		&expr.Fib{Register: register, FlagDADDR: true, ResultADDRTYPE: true},
		&expr.Cmp{Op: op, Register: register, Data: binary.NativeEndian.AppendUint32(nil, uint32(t))},
	}}
}

// noReversePath matches a packet that fails a strict reverse-path check. The route to its source leads through another
// interface, or there is none.
func noReversePath() part { return part{"fib saddr . iif oif missing", wayBack(true, 0)} }

// reversePath matches a packet that passes that check.
func reversePath() part { return part{"fib saddr . iif oif exists", wayBack(true, 1)} }

// noRouteBack matches a packet that fails a loose reverse-path check: there is no route to its source.
func noRouteBack() part { return part{"fib saddr oif missing", wayBack(false, 0)} }

// routeBack matches a packet that passes that check.
func routeBack() part { return part{"fib saddr oif exists", wayBack(false, 1)} }

// wayBack looks up the route to a packet's source, only over its interface if strict. present is 1 if there must be one, 0 if not.
func wayBack(strict bool, present byte) []expr.Any {
	return []expr.Any{
		&expr.Fib{Register: register, FlagSADDR: true, FlagIIF: strict, FlagPRESENT: true, ResultOIF: true},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: []byte{present, 0, 0, 0}},
	}
}

// addressIn matches a packet's address in a set.
func addressIn(s side, f subnet.Family, in nft.Set) part {
	return part{addressText(s, f) + "@" + in.Name, []expr.Any{
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: s.offset(f), Len: uint32(f.Bits() / 8)}, //nolint:gosec // 4 or 16
		&expr.Lookup{SourceRegister: register, SetName: in.Name},
	}}
}

// fromPod matches a packet from a pod's interface.
func fromPod() part {
	name := podInterfaces(Rules{}).Name
	return part{"iifname @" + name, []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: register},
		&expr.Lookup{SourceRegister: register, SetName: name},
	}}
}

// fromInterface matches packets from an interface, by its index. The kernel compares an index faster than a name. But a new
// interface of the same name has another index.
func fromInterface(i Interface) part {
	return part{fmt.Sprintf("iif %q", i.Name), []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIF, Register: register},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: binary.NativeEndian.AppendUint32(nil, uint32(i.Index))}, //nolint:gosec // the kernel's numbers are positive
	}}
}

// loopback is the index of the loopback device, in every network namespace.
const loopback = 1

func notLoopback() part {
	return part{`iif != "lo"`, []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIF, Register: register},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: binary.NativeEndian.AppendUint32(nil, loopback)},
	}}
}

// protocol is a transport protocol by its number.
type protocol byte

const (
	tcp protocol = unix.IPPROTO_TCP
	udp protocol = unix.IPPROTO_UDP
)

// portTo matches a transport protocol and the destination port. In both protocols it follows the source port.
func portTo(p protocol, port uint16) part {
	return part{fmt.Sprintf("%s dport %d", map[protocol]string{tcp: "tcp", udp: "udp"}[p], port), []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: []byte{byte(p)}},
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: binary.BigEndian.AppendUint16(nil, port)},
	}}
}

// vni matches the VXLAN network identifier: 24 bits, 4 bytes after the UDP header (RFC 7348 section 5). A packet that is too
// short does not match. The kernel's VXLAN drops it. The kernel loads 4 aligned bytes faster than 3.
func vni(n uint32) part {
	id := n << 8 // the last byte is reserved
	return part{fmt.Sprintf("@th,96,32 & 0xffffff00 == %#x", id), []expr.Any{
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: 12, Len: 4},
		&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 4, Mask: []byte{0xff, 0xff, 0xff, 0}, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: binary.BigEndian.AppendUint32(nil, id)},
	}}
}

func notUntracked() part {
	return part{"ct state != untracked", []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: register},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: binary.NativeEndian.AppendUint32(nil, expr.CtStateBitUNTRACKED)},
	}}
}

func notrack() part { return part{"notrack", []expr.Any{&expr.Notrack{}}} }

func masquerade() part {
	return part{"masquerade fully-random", []expr.Any{&expr.Masq{FullyRandom: true}}}
}

func returning() part { return part{"return", []expr.Any{&expr.Verdict{Kind: expr.VerdictReturn}}} }

func counter() part { return part{"counter", []expr.Any{&expr.Counter{}}} }

func accept() part { return part{"accept", []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}}} }

func drop() part { return part{"drop", []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}}} }

func jump(chain string) part {
	return part{"jump " + chain, []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain}}}
}

func goTo(chain string) part {
	return part{"goto " + chain, []expr.Any{&expr.Verdict{Kind: expr.VerdictGoto, Chain: chain}}}
}
