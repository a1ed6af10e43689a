package vxlan

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/rtnl"
	"github.com/podlane/podlane/subnet"
)

// rule is a routing rule (ip-rule(8)).
type rule struct {
	priority  uint32
	not       bool
	src, dst  netip.Prefix // not valid: all
	iif       string       // the interface on which packets arrive; lo: the node's own packets
	mark      mark
	rare      bool // it matches few packets: those of sockets bound to an interface
	uncertain bool // it has an unsupported condition: a user, a port, a type of service, a VRF
	l3mdev    bool // its table is that of the packet's VRF
	action    uint8
	table     uint32
	target    uint32 // of a goto, the priority
	suppress  int    // routes with prefixes no longer than this are ignored; -1: none
}

// mark is a firewall mark with its mask. The zero mark matches all packets.
type mark struct{ value, mask uint32 }

// Actions and attributes of linux/fib_rules.h.
const (
	actionTable       = 1 // FR_ACT_TO_TBL
	actionGoto        = 2 // FR_ACT_GOTO
	actionBlackhole   = 6 // FR_ACT_BLACKHOLE
	actionUnreachable = 7 // FR_ACT_UNREACHABLE
	actionProhibit    = 8 // FR_ACT_PROHIBIT
	flagInvert        = 2 // FIB_RULE_INVERT

	sizeofRule = 12 // struct fib_rule_hdr

	fraDst          = 1
	fraSrc          = 2
	fraIifname      = 3
	fraGoto         = 4
	fraPriority     = 6
	fraFwmark       = 10
	fraFlow         = 11 // FRA_FLOW: a route realm to set, not a match
	fraSuppressIf   = 13 // FRA_SUPPRESS_IFGROUP
	fraSuppressLen  = 14 // FRA_SUPPRESS_PREFIXLEN
	fraTable        = 15
	fraFwmask       = 16
	fraOifname      = 17
	fraPad          = 18
	fraL3mdev       = 19
	fraRuleProtocol = 21 // the program that made the rule
)

// parseRule parses RTM_NEWRULE. An unknown attribute may be a condition, so it makes the rule uncertain.
func parseRule(m rtnl.Message, f subnet.Family) (r rule, ok bool) {
	h, attrs, ok := m.Header(sizeofRule)
	if !ok || m.Type != unix.RTM_NEWRULE || h[0] != socketFamily[f] {
		return r, false
	}
	r = rule{
		table: uint32(h[4]), action: h[7], uncertain: h[3] != 0, suppress: -1,
		not: binary.NativeEndian.Uint32(h[8:])&flagInvert != 0,
	}
	for attrs.Next() {
		switch attrs.Type {
		case fraDst:
			r.dst = netip.PrefixFrom(attrs.Addr(), int(h[1]))
		case fraSrc:
			r.src = netip.PrefixFrom(attrs.Addr(), int(h[2]))
		case fraIifname:
			r.iif = attrs.Text()
		case fraGoto:
			r.target = attrs.Uint32()
		case fraPriority:
			r.priority = attrs.Uint32()
		case fraFwmark:
			r.mark.value = attrs.Uint32()
		case fraFwmask:
			r.mark.mask = attrs.Uint32()
		case fraTable:
			r.table = attrs.Uint32()
		case fraSuppressLen:
			r.suppress = int(int32(attrs.Uint32())) //nolint:gosec // -1 means none
		case fraSuppressIf:
			r.uncertain = r.uncertain || int32(attrs.Uint32()) != -1 //nolint:gosec // -1 means none
		case fraOifname:
			r.rare = true
		case fraL3mdev:
			r.l3mdev = attrs.Uint8() != 0
		case fraFlow, fraPad, fraRuleProtocol:
		default:
			r.uncertain = true
		}
	}
	r.uncertain = r.uncertain || r.l3mdev
	return r, true
}

// leadsAway reports whether a rule may lead the packets that it matches past the main table.
func (r rule) leadsAway() bool {
	if r.action == actionTable {
		return r.table != unix.RT_TABLE_MAIN && r.table != unix.RT_TABLE_LOCAL
	}
	return r.action >= actionBlackhole && r.action <= actionProhibit
}

// leadsToMain reports whether a rule leads packets to routes of the main table that are longer than a prefix.
func (r rule) leadsToMain(longer netip.Prefix) bool {
	return r.action == actionTable && r.table == unix.RT_TABLE_MAIN && !r.l3mdev && r.suppress <= longer.Bits()
}

// String returns the rule in an operator's words, after "ip rule add".
func (r rule) String() string {
	b := words("pref").number(uint64(r.priority))
	if r.not {
		b = b.word("not")
	}
	b = b.word("from")
	if r.src.IsValid() {
		b = b.prefix(r.src)
	} else {
		b = b.word("all")
	}
	if r.dst.IsValid() {
		b = b.word("to").prefix(r.dst)
	}
	if r.mark != (mark{}) {
		b = b.word("fwmark").word(fmt.Sprintf("%#x/%#x", r.mark.value, r.mark.mask))
	}
	if r.iif != "" {
		b = b.word("iif").word(r.iif)
	}
	if r.l3mdev {
		return string(b.word("l3mdev"))
	}
	switch r.action {
	case actionBlackhole:
		b = b.word("blackhole")
	case actionUnreachable:
		b = b.word("unreachable")
	case actionProhibit:
		b = b.word("prohibit")
	default:
		b = b.word("lookup").number(uint64(r.table))
	}
	if r.suppress >= 0 {
		b = b.word("suppress_prefixlength").number(uint64(r.suppress))
	}
	return string(b)
}
