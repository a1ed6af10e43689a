// Package firewall keeps the node's own nftables table, and the one pair of rules in iptables' FORWARD chain without
// which Docker's DROP would hold up the pods. Everything is read from the kernel, compared, and written only where it
// differs.
package firewall

import (
	"context"
	"errors"
	"fmt"

	"github.com/podlane/podlane/backend"
	"github.com/podlane/podlane/subnet"
)

// Firewall makes the kernel's firewall equal to Rules. The zero value is ready. What it remembers only tells drift from
// news in its report. It is for one goroutine at a time.
type Firewall struct {
	rules    Rules           // of the last Apply that was verified
	verified map[string]bool // what stood in the kernel then, by the object of its op
}

// Apply makes the node's own table, and where iptables' FORWARD policy is DROP the rules there, equal to r, and reads
// them again. Where all is as it should be nothing is written. It works in the network namespace of the thread that
// calls it. The ops are what was written; with an error, what was written before it.
func (w *Firewall) Apply(ctx context.Context, r Rules) ([]backend.Op, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	want := targetOf(r)
	ops, stands, err := want.apply(ctx)
	for i, op := range ops {
		ops[i].Drift = w.verified[op.Object] || r == w.rules && op.Verb != "add"
	}
	if err != nil {
		return ops, err
	}
	w.rules, w.verified = r, map[string]bool{}
	for _, object := range stands {
		w.verified[object] = true
	}
	return ops, nil
}

// target is all that is to stand in the kernel.
type target struct {
	table   table
	forward [len(subnet.Families)][]rule
	legacy  [len(subnet.Families)][]string
}

func targetOf(r Rules) target {
	t := target{table: build(r)}
	for _, f := range subnet.Families {
		t.forward[f], t.legacy[f] = forwardRules(r.Network, f), legacyRules(r.Network, f)
	}
	return t
}

// plans compares the kernel with the target: one transaction for the table, and one for each foreign chain, so that a
// chain that its owner is just rebuilding does not hold up the table.
func (t target) plans(have snapshot) []plan {
	plans := []plan{planTable(have, t.table)}
	for _, f := range subnet.Families {
		plans = append(plans, planForward(have, t.forward[f], f))
	}
	return plans
}

// apply returns what it wrote and, by the objects of their ops, what of the target stands in the kernel.
func (t target) apply(ctx context.Context) (ops []backend.Op, stands []string, err error) {
	have, err := read()
	if err != nil {
		return nil, nil, err
	}
	plans := t.plans(have)
	ops, err = commitAll(plans)
	if len(ops) > 0 && err == nil {
		plans, err = t.verify()
	}
	for _, p := range plans {
		stands = append(stands, p.stands...)
	}
	errs := []error{err}
	for _, f := range subnet.Families {
		l, err := applyLegacy(ctx, t.legacy[f], f)
		ops, stands, errs = append(ops, l.ops...), append(stands, l.stands...), append(errs, err)
	}
	return ops, stands, errors.Join(errs...)
}

func (t target) verify() ([]plan, error) {
	have, err := read()
	if err != nil {
		return nil, err
	}
	plans := t.plans(have)
	for _, p := range plans {
		if len(p.ops) > 0 {
			return plans, fmt.Errorf("verify nftables: after the write there is still to do: %s", p.ops[0])
		}
	}
	return plans, nil
}

// commitAll does each plan in a transaction of its own, whether or not those before it could be done.
func commitAll(plans []plan) (ops []backend.Op, err error) {
	var errs []error
	for _, p := range plans {
		if len(p.ops) == 0 {
			continue
		}
		if err := commit(p.steps); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p.ops[0], err))
			continue
		}
		ops = append(ops, p.ops...)
	}
	return ops, errors.Join(errs...)
}
