package firewall

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/podlane/podlane/kernel"

	"github.com/google/nftables"
)

// plan is what is to be done, in an operator's words, and the steps of the one transaction that does it.
type plan struct {
	ops    []kernel.Op
	steps  []step
	stands []string // what is already as wanted in a foreign chain, by the object of its op
}

// step adds its messages to a transaction.
type step func(*nftables.Conn) error

// planTable compares the node's own table with what it is to be. Rules and elements are mended in place; where the
// table's frame differs, its chains and sets, the whole table is replaced. It is a pure function.
func planTable(have snapshot, want table) plan {
	var p plan
	frame := frameOps(have, want)
	if len(frame) > 0 {
		p.steps = rebuild(have, want)
	}
	for _, c := range want.chains {
		held := have.in(nftables.TableFamilyINet, Name, c.name)
		ops := ruleOps(held, c)
		p.ops = append(p.ops, ops...)
		if len(ops) > 0 && len(frame) == 0 {
			p.steps = append(p.steps, rewriteChain(c, held))
		}
	}
	for _, s := range want.sets {
		missing, extra := s.compare(have)
		p.ops = append(p.ops, elementOps(s, missing, extra)...)
		if len(frame) == 0 {
			p.steps = append(p.steps, changeElements(s, missing, extra)...)
		}
	}
	if len(frame) == 0 && len(p.ops) > 0 {
		p.steps = append(p.steps, forget(have, want)...)
	}
	p.ops = append(frame, p.ops...)
	return p
}

// forget empties the dynamic sets when anything else is written: their elements may be of a peer that is gone. It is not
// reported as an op, because these elements are not part of the wanted table.
func forget(have snapshot, want table) (steps []step) {
	for _, s := range want.sets {
		if h, _ := have.set(s.name); s.dynamic && len(h.elements) > 0 {
			steps = append(steps, func(c *nftables.Conn) error {
				c.FlushSet(s.nft())
				return nil
			})
		}
	}
	return steps
}

// objects is all that a table consists of, by the objects of the ops that would make it from nothing.
func objects(want table) (all []string) {
	all = append(all, "table inet "+Name)
	for _, s := range want.sets {
		all = append(all, s.String())
		for _, op := range elementOps(s, s.elements, nil) {
			all = append(all, op.Object)
		}
	}
	for _, c := range want.chains {
		all = append(all, c.String())
		for _, op := range ruleOps(nil, c) {
			all = append(all, op.Object)
		}
	}
	return all
}

// own returns the node's own table.
func (s snapshot) own() (heldTable, bool) {
	i := slices.IndexFunc(s.tables, func(t heldTable) bool { return t.family == nftables.TableFamilyINet && t.name == Name })
	if i < 0 {
		return heldTable{}, false
	}
	return s.tables[i], true
}

// frameOps compares the table, its chains and its sets, without rules and elements.
func frameOps(have snapshot, want table) (ops []kernel.Op) {
	add := func(verb, kind, object string) { ops = append(ops, kernel.Op{Verb: verb, Kind: kind, Object: object}) }
	held, ok := have.own()
	switch {
	case !ok:
		add("add", "table", "table inet "+Name)
	case held.flags != 0:
		add("replace", "table", "table inet "+Name+": it is dormant or has an owner")
	}
	objects := uint32(len(have.sets)) //nolint:gosec // few
	for _, c := range have.chains {
		if c.family != nftables.TableFamilyINet || c.table != Name {
			continue
		}
		objects++
		if !slices.ContainsFunc(want.chains, func(w chain) bool { return w.name == c.name }) {
			add("delete", "chain", "chain inet "+Name+" "+c.name)
		}
	}
	if held.use != objects {
		add("replace", "table", "table inet "+Name+": it holds objects that are not ours")
	}
	for _, c := range want.chains {
		if h, ok := have.chain(nftables.TableFamilyINet, Name, c.name); !ok {
			add("add", "chain", c.String())
		} else if h.base != c.base {
			add("replace", "chain", c.String())
		}
	}
	for _, s := range want.sets {
		if h, ok := have.set(s.name); !ok {
			add("add", "set", s.String())
		} else if !s.sameFrame(h) {
			add("replace", "set", s.String())
		}
	}
	for _, h := range have.sets {
		if !slices.ContainsFunc(want.sets, func(s set) bool { return s.name == h.name }) {
			add("delete", "set", "set inet "+Name+" "+h.name)
		}
	}
	return ops
}

// same tells whether a rule of the kernel is this one.
func (r rule) same(h heldRule) bool {
	return bytes.Equal(h.userdata, r.userdata()) && sameExprs(h.family, h.exprs, r.exprs)
}

// ruleOps says how the rules of a chain differ from the wanted ones; no op where they are equal, order included.
func ruleOps(have []heldRule, want chain) (ops []kernel.Op) {
	if slices.EqualFunc(have, want.rules, func(h heldRule, r rule) bool { return r.same(h) }) {
		return nil
	}
	at := "rule inet " + Name + " " + want.name + " "
	for _, r := range want.rules {
		if !slices.ContainsFunc(have, r.same) {
			ops = append(ops, kernel.Op{Verb: "add", Kind: "rule", Object: at + r.String()})
		}
	}
	for _, h := range have {
		if !slices.ContainsFunc(want.rules, func(r rule) bool { return r.same(h) }) {
			ops = append(ops, kernel.Op{Verb: "delete", Kind: "rule", Object: fmt.Sprintf("%shandle %d", at, h.handle)})
		}
	}
	if len(ops) == 0 {
		ops = append(ops, kernel.Op{Verb: "replace", Kind: "rule", Object: at + "(one was there twice, or out of order)"})
	}
	return ops
}

func elementOps(s set, missing, extra []element) (ops []kernel.Op) {
	at := "element inet " + Name + " " + s.name + " "
	for _, e := range missing {
		ops = append(ops, kernel.Op{Verb: "add", Kind: "element", Object: at + s.word(e)})
	}
	for _, e := range extra {
		ops = append(ops, kernel.Op{Verb: "delete", Kind: "element", Object: at + s.word(e)})
	}
	return ops
}
