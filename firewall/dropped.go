package firewall

import (
	"encoding/binary"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// newDrop makes a rule that counts what it drops. The reason is its comment, and the word under which Dropped has it.
func newDrop(reason string, parts ...part) rule {
	r := newRule(append(parts, counter(), drop())...)
	r.comment = reason
	return r
}

// countDrops sums up what the table's rules have dropped, in packets, by reason. It is for a snapshot whose table is ours.
func countDrops(have snapshot) map[string]uint64 {
	sums := map[string]uint64{}
	for _, h := range have.rules {
		reason := h.comment()
		if c, ok := h.counter(); ok && reason != "" && h.family == nftables.TableFamilyINet {
			sums[reason] += c.Packets
		}
	}
	return sums
}

// counter returns what a rule has counted.
func (r heldRule) counter() (*expr.Counter, bool) {
	for _, e := range r.exprs {
		if exprName(e) != "counter" {
			continue
		}
		data, _ := find(e, unix.NFTA_EXPR_DATA)
		packets, _ := find(data, unix.NFTA_COUNTER_PACKETS)
		bytes, _ := find(data, unix.NFTA_COUNTER_BYTES)
		if len(packets) == 8 && len(bytes) == 8 {
			return &expr.Counter{Packets: binary.BigEndian.Uint64(packets), Bytes: binary.BigEndian.Uint64(bytes)}, true
		}
	}
	return nil, false
}

// goOn returns the rules with the counts that the same rules in the kernel have come to, so that writing them again does
// not begin at zero. What is counted between the reading and the writing is lost.
func goOn(rules []rule, have []heldRule) []rule {
	rules = slices.Clone(rules)
	for i, r := range rules {
		at := slices.IndexFunc(r.exprs, func(e expr.Any) bool { _, ok := e.(*expr.Counter); return ok })
		same := slices.IndexFunc(have, r.same)
		if at < 0 || same < 0 {
			continue
		}
		if c, ok := have[same].counter(); ok {
			rules[i].exprs = slices.Clone(r.exprs)
			rules[i].exprs[at] = c
		}
	}
	return rules
}
