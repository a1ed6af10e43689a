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
	priority uint32
	not      bool
	src, dst netip.Prefix // not valid: all
	narrow   bool         // it asks for more: a mark, an interface, a user, a port
	action   uint8
	table    uint32
	suppress int // routes with prefixes no longer than this are passed over; -1: none
}

// Actions and attributes of linux/fib_rules.h.
const (
	actionTable       = 1 // FR_ACT_TO_TBL
	actionBlackhole   = 6 // FR_ACT_BLACKHOLE
	actionUnreachable = 7 // FR_ACT_UNREACHABLE
	actionProhibit    = 8 // FR_ACT_PROHIBIT
	flagInvert        = 2 // FIB_RULE_INVERT

	sizeofRule = 12 // struct fib_rule_hdr

	fraDst         = 1
	fraSrc         = 2
	fraIifname     = 3
	fraPriority    = 6
	fraFwmark      = 10
	fraSuppressLen = 14 // FRA_SUPPRESS_PREFIXLEN
	fraTable       = 15
	fraOifname     = 17
	fraL3mdev      = 19
	fraUIDRange    = 20
	fraIPProto     = 22
	fraSportRange  = 23
	fraDportRange  = 24
)

// parseRule reads RTM_NEWRULE.
func parseRule(m rtnl.Message, f subnet.Family) (r rule, ok bool) {
	h, attrs, ok := m.Header(sizeofRule)
	if !ok || m.Type != unix.RTM_NEWRULE || h[0] != socketFamily[f] {
		return r, false
	}
	r = rule{
		table: uint32(h[4]), action: h[7], narrow: h[3] != 0, suppress: -1,
		not: binary.NativeEndian.Uint32(h[8:])&flagInvert != 0,
	}
	for attrs.Next() {
		switch attrs.Type {
		case fraDst:
			r.dst = netip.PrefixFrom(attrs.Addr(), int(h[1]))
		case fraSrc:
			r.src = netip.PrefixFrom(attrs.Addr(), int(h[2]))
		case fraPriority:
			r.priority = attrs.Uint32()
		case fraTable:
			r.table = attrs.Uint32()
		case fraSuppressLen:
			r.suppress = int(int32(attrs.Uint32())) //nolint:gosec // -1 means none
		case fraL3mdev:
			r.narrow = r.narrow || attrs.Uint8() != 0
		case fraIifname, fraOifname, fraFwmark, fraUIDRange, fraIPProto, fraSportRange, fraDportRange:
			r.narrow = true
		}
	}
	return r, true
}

// mayMatch tells whether some packets between pods match a rule; always, whether all do. Rules that ask for a mark, an
// interface, a user or a port are others' own business: they match none.
func (r rule) mayMatch(pods netip.Prefix) bool {
	if r.not {
		all := !r.narrow && (!r.src.IsValid() || covers(r.src, pods)) && (!r.dst.IsValid() || covers(r.dst, pods))
		return !all
	}
	return !r.narrow && (!r.src.IsValid() || r.src.Overlaps(pods)) && (!r.dst.IsValid() || r.dst.Overlaps(pods))
}

func (r rule) always(pods netip.Prefix) bool {
	return !r.not && !r.narrow && (!r.src.IsValid() || covers(r.src, pods)) && (!r.dst.IsValid() || covers(r.dst, pods))
}

// noteRules says which rules keep packets to peers from the main table, where our routes are.
func (p *pass) noteRules(n *notes) {
	var before []rule // those that may, before a rule leads all packets to the main table
	any, led := false, false
	err := eachRule(p.w.conn, p.family, func(r rule) {
		any = true
		switch {
		case led: // it is not asked
		case r.action == actionTable && r.table == unix.RT_TABLE_MAIN && r.suppress <= p.network.Bits():
			led = r.always(p.network)
		case r.leadsAway() && r.mayMatch(p.network):
			before = append(before, r)
		}
	})
	if err != nil {
		n.cannot(fmt.Sprintf("which %s rules take traffic to peers", p.family), err)
		return
	}
	p.noteTables(n, before)
	if any && !led {
		n.add(func() string {
			return fmt.Sprintf("no %s rule leads packets to pods to the main table; add it: %s rule add pref 32766 lookup main",
				p.family, ipCommand[p.family])
		})
	}
}

// leadsAway tells whether a rule may lead the packets that it matches elsewhere than to the main table.
func (r rule) leadsAway() bool {
	if r.action == actionTable {
		return r.table != unix.RT_TABLE_MAIN && r.table != unix.RT_TABLE_LOCAL
	}
	return r.action >= actionBlackhole && r.action <= actionProhibit
}

// noteTables says which rules take packets to peers: those that need no table for it, and those whose table has a route
// for it. A table is read once, however many rules lead to it.
func (p *pass) noteTables(n *notes, rules []rule) {
	type part struct {
		table    uint32
		suppress int
	}
	known := map[part]*tableRoute{}
	for _, r := range rules {
		if r.action != actionTable {
			n.add(func() string { return r.note(p.family, "") })
			continue
		}
		key := part{r.table, r.suppress}
		if _, is := known[key]; !is {
			takes, err := p.taking(r.table, r.suppress)
			if err != nil {
				n.cannot(fmt.Sprintf("whether rule %s takes traffic to pods", r), err)
			}
			known[key] = takes
		}
		if takes := known[key]; takes != nil {
			n.add(func() string { return r.note(p.family, ", whose table has "+takes.text(p.linkName(takes.route.link))) })
		}
	}
}

// taking is the first route of a table that takes packets to peers; nil where there is none.
func (p *pass) taking(table uint32, suppress int) (takes *tableRoute, err error) {
	err = eachRoute(p.w.conn, p.family, table, func(t tableRoute) {
		same := t.route.link == p.index && t.route.link != 0
		if takes == nil && t.what != unix.RTN_THROW && t.key.prefix.Bits() > suppress && p.elsewhere(t.key.prefix) && !t.dead && !same {
			first := t // not t itself, which would be made for each
			takes = &first
		}
	})
	return takes, err
}

func (r rule) note(f subnet.Family, why string) string {
	return fmt.Sprintf("rule %s%s takes traffic to pods before the main table; remove it: %s rule del %s", r, why, ipCommand[f], r)
}

// String is the rule in an operator's words, behind "ip rule add".
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
