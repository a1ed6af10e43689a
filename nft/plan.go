package nft

import (
	"fmt"
	"slices"

	"github.com/google/nftables"

	"github.com/podlane/podlane/kernel"
)

// Plan is a difference between the kernel and a wanted table, and the transaction that removes it.
type Plan struct {
	Ops   []kernel.Op // the difference; empty if there is nothing to write
	Steps []Step      // the messages of the transaction, in order
}

// Step is one message of a transaction.
type Step struct {
	Op  kernel.Op // the write that a Failure names if the kernel refuses the message
	Add func(*nftables.Conn) error
}

// step returns a step that cannot fail before it is sent.
func step(op kernel.Op, add func(*nftables.Conn)) Step {
	return Step{op, func(c *nftables.Conn) error {
		add(c)
		return nil
	}}
}

func (p *Plan) add(verb, kind, object string) {
	p.Ops = append(p.Ops, kernel.Op{Verb: verb, Kind: kind, Object: object})
}

// Plan compares the kernel's table with the wanted one. If only rules or elements differ, they are changed in place. If the
// table, a chain or a set itself differs, the whole table is replaced. The function is pure.
func (t Table) Plan(have Installed) Plan {
	p := Plan{Ops: t.declarationOps(have)}
	rebuilt := len(p.Ops) > 0
	if rebuilt {
		p.Steps = t.rebuild(have)
	}
	for _, c := range t.Chains {
		installed := have.RulesOf(c.Name)
		ops := t.ruleOps(installed, c)
		p.Ops = append(p.Ops, ops...)
		if len(ops) > 0 && !rebuilt {
			p.Steps = append(p.Steps, t.rewriteChain(c, installed)...)
		}
	}
	for _, s := range t.Sets {
		installed, _ := have.Set(s.Name)
		missing, extra := s.compare(installed)
		p.Ops = append(p.Ops, t.elementOps(s, missing, extra)...)
		if !rebuilt {
			p.Steps = append(p.Steps, t.changeElements(s, missing, extra)...)
		}
	}
	if !rebuilt && len(p.Ops) > 0 {
		p.Steps = append(p.Steps, t.flushDynamic(have)...)
	}
	return p
}

// Remove returns the plan that deletes a table.
func (id ID) Remove(have Installed) (p Plan) {
	if have.Exists() {
		p.add("delete", "table", id.text())
		p.Steps = []Step{step(p.Ops[0], func(c *nftables.Conn) { c.DelTable(id.nft()) })}
	}
	return p
}

// flushDynamic empties the dynamic sets whenever the plan writes something else. Their elements may depend on what that write
// deletes. The flush is not one of the plan's ops, because these elements are not part of the wanted table.
func (t Table) flushDynamic(have Installed) (steps []Step) {
	for _, s := range t.Sets {
		if installed, _ := have.Set(s.Name); s.Dynamic != (Dynamic{}) && len(installed.Elements) > 0 {
			op := kernel.Op{Verb: "delete", Kind: "element", Object: "all elements of " + t.at("set", s.Name)}
			steps = append(steps, step(op, func(c *nftables.Conn) { c.FlushSet(s.nft(t.ID)) }))
		}
	}
	return steps
}

// declarationOps compares the table, the chains and the sets, without their rules and elements.
func (t Table) declarationOps(have Installed) []kernel.Op {
	var p Plan
	switch {
	case !have.Exists():
		p.add("add", "table", t.text())
	case have.Table.Flags != 0:
		p.add("replace", "table", t.text()+": it is dormant or has an owner")
	}
	for _, c := range have.Chains {
		if !slices.ContainsFunc(t.Chains, func(w Chain) bool { return w.Name == c.Name }) {
			p.add("delete", "chain", t.at("chain", c.Name))
		}
	}
	if int(have.Table.Use) != len(have.Chains)+len(have.Sets) {
		p.add("replace", "table", t.text()+": it has objects that are not podlane's")
	}
	for _, c := range t.Chains {
		if installed, ok := have.Chain(c.Name); !ok {
			p.add("add", "chain", t.chainText(c))
		} else if installed.Base != c.Base {
			p.add("replace", "chain", t.chainText(c))
		}
	}
	for _, s := range t.Sets {
		if installed, ok := have.Set(s.Name); !ok {
			p.add("add", "set", t.setText(s))
		} else if !s.sameDeclaration(installed) {
			p.add("replace", "set", t.setText(s))
		}
	}
	for _, installed := range have.Sets {
		if !slices.ContainsFunc(t.Sets, func(s Set) bool { return s.Name == installed.Name }) {
			p.add("delete", "set", t.at("set", installed.Name))
		}
	}
	return p.Ops
}

// ruleOps compares the rules of a chain with the wanted ones, order included.
func (id ID) ruleOps(have []KernelRule, want Chain) []kernel.Op {
	if slices.EqualFunc(have, want.Rules, func(k KernelRule, r Rule) bool { return r.Same(k) }) {
		return nil
	}
	var p Plan
	at := id.at("rule", want.Name) + " "
	for _, r := range want.Rules {
		if !slices.ContainsFunc(have, r.Same) {
			p.add("add", "rule", at+r.String())
		}
	}
	for _, k := range have {
		if !slices.ContainsFunc(want.Rules, func(r Rule) bool { return r.Same(k) }) {
			p.add("delete", "rule", fmt.Sprintf("%shandle %d", at, k.Handle))
		}
	}
	if len(p.Ops) == 0 {
		p.add("replace", "rule", at+"(duplicate or wrong order)")
	}
	return p.Ops
}

func (id ID) elementOps(s Set, missing, extra []Element) []kernel.Op {
	var p Plan
	at := id.at("element", s.Name) + " "
	for _, e := range missing {
		p.add("add", "element", at+s.elementText(e))
	}
	for _, e := range extra {
		p.add("delete", "element", at+s.elementText(e))
	}
	return p.Ops
}
