// Package firewall keeps the node's own nftables table: who may send the node VXLAN, what pods may not send, and what is
// masqueraded; and the one pair of rules in iptables' FORWARD chain without which Docker's DROP would hold up the pods.
// Everything is read from the kernel, compared, and written only where it differs.
package firewall

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/podlane/podlane/kernel"

	"github.com/podlane/podlane/subnet"
)

// Firewall makes the kernel's firewall equal to Rules. The zero value is ready. What it remembers tells drift from news in
// its report, and is for Dropped and Advice. It is for one goroutine at a time.
type Firewall struct {
	rules   Rules             // of the last Apply that was verified
	table   table             // what stood in the kernel then,
	foreign []string          // and in others' chains, by the objects of their ops
	dropped map[string]uint64 // as the kernel had counted then

	findings      findings // about other programs' rules, from the last Apply that could read them
	judged        judged   // the input of that evaluation
	wrongArrivals wrongArrivals
}

// Apply makes the node's own table, and the accepts in iptables' FORWARD if it would drop pods' packets, equal to r, and
// reads them again. If everything matches, nothing is written. It works in the network namespace of the thread that calls
// it. The ops are what was written; with an error, what was written before it.
func (w *Firewall) Apply(ctx context.Context, r Rules) ([]kernel.Op, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	r = r.tidy()
	want := targetOf(r)
	have, err := read()
	if err != nil {
		return nil, err
	}
	if w.wrongArrivals == nil {
		w.wrongArrivals = wrongArrivals{}
	}
	w.wrongArrivals.see(have, time.Now())
	did, err := want.apply(ctx, have)
	w.judgeOthers(did, r)
	w.tellDrift(did.ops, r)
	if err != nil {
		return did.ops, err
	}
	w.rules, w.table, w.foreign, w.dropped = r, want.table, did.stands, countDrops(did.have)
	return did.ops, nil
}

// Dropped tells how many packets the rules of the node's own table have dropped, by reason: "vxlan_not_from_a_peer",
// "vxlan_from_a_wrong_interface", "vxlan_from_a_pod", "pod_source_forged" and "http_from_a_pod". It is as the kernel had
// counted at the last Apply without an error, and lacks the reasons that its Rules gave no rule for. A count begins again
// where somebody has removed its rule.
func (w *Firewall) Dropped() map[string]uint64 { return maps.Clone(w.dropped) }

// tellDrift marks the ops that put back what had stood, and those that changed what was not to change.
func (w *Firewall) tellDrift(ops []kernel.Op, r Rules) {
	if len(ops) == 0 {
		return
	}
	stood := map[string]bool{}
	if w.table.chains != nil { // something has been verified
		for _, object := range slices.Concat(objects(w.table), w.foreign) {
			stood[object] = true
		}
	}
	same := r.equal(w.rules)
	for i, op := range ops {
		ops[i].Drift = same && op.Verb != "add" || stood[op.Object] && op.Verb != "delete"
	}
}

// target is all that is to stand in the kernel.
type target struct {
	table   table
	forward [len(subnet.Families)][]rule
	legacy  [len(subnet.Families)][]string
	pods    [len(subnet.Families)][]packet // those that the accepts in FORWARD are for
}

func targetOf(r Rules) target {
	t := target{table: build(r)}
	for _, f := range subnet.Families {
		t.forward[f], t.legacy[f] = forwardRules(r.podPrefixes(f)), legacyRules(r.podPrefixes(f))
		t.pods[f] = forwardedPackets(r, f)
	}
	return t
}

// plans compares the kernel with the target: one transaction for the table, and one for each foreign chain, so that a
// chain that its owner is just rebuilding does not hold up the table.
func (t target) plans(have snapshot) []plan {
	plans := []plan{planTable(have, t.table)}
	for _, f := range subnet.Families {
		plans = append(plans, planForward(have, t.forward[f], t.pods[f], f))
	}
	return plans
}

// outcome is what was written, what of the foreign rules stands then, and what was read last.
type outcome struct {
	ops    []kernel.Op
	stands []string
	have   snapshot
	legacy [len(subnet.Families)]string // the listings of iptables-legacy
}

// apply writes what differs from what was read.
func (t target) apply(ctx context.Context, have snapshot) (did outcome, err error) {
	plans := t.plans(have)
	did.have = have
	did.ops, err = commitAll(plans)
	if len(did.ops) > 0 && err == nil {
		did.have, plans, err = t.verify()
	}
	for _, p := range plans {
		did.stands = append(did.stands, p.stands...)
	}
	errs := []error{err}
	for _, f := range subnet.Families {
		l, listing, err := applyLegacy(ctx, t.legacy[f], t.pods[f], f)
		did.legacy[f] = listing
		did.ops, did.stands, errs = append(did.ops, l.ops...), append(did.stands, l.stands...), append(errs, err)
	}
	return did, errors.Join(errs...)
}

func (t target) verify() (snapshot, []plan, error) {
	have, err := read()
	if err != nil {
		return have, nil, err
	}
	plans := t.plans(have)
	for _, p := range plans {
		if len(p.ops) > 0 {
			return have, plans, fmt.Errorf("verify nftables: after the write there is still to do: %s", p.ops[0])
		}
	}
	return have, plans, nil
}

// commitAll does each plan in a transaction of its own, whether or not those before it could be done.
func commitAll(plans []plan) (ops []kernel.Op, err error) {
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
