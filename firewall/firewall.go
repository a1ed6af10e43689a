// Package firewall programs the node's firewall. podlane's own nftables table decides
//
//   - which hosts may send VXLAN to the node,
//   - which packets may have a pod's address as source,
//   - what pods may not send,
//   - which packets get the node's address (masquerade),
//   - which packets are not tracked as connections (VXLAN).
//
// Most packets pass after a few comparisons: see early.go.
//
// In other programs' tables it writes one thing: accept rules in iptables' FORWARD chain. They are needed if that chain drops
// the pods' packets, as with Docker. The package compares with the kernel, and writes only what differs. If the rule set has not
// changed since the last read, it does not read the elements of its sets again.
package firewall

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/podlane/podlane/firewall/eval"
	"github.com/podlane/podlane/kernel"
	"github.com/podlane/podlane/nft"
	"github.com/podlane/podlane/subnet"
)

// Firewall makes the kernel's firewall match Rules. The zero value is ready for use. Only one goroutine at a time may use it.
type Firewall struct {
	rules   Rules     // of the last verified Apply, like the next four fields
	table   nft.Table // podlane's table
	inPlace []string  // podlane's rules in foreign chains, as the objects of ops
	sets    knownSets
	dropped map[string]uint64 // packets by reason

	findings      findings   // about other programs' rules, from the last time they could be read
	evaluated     evaluation // with its input
	wrongArrivals wrongArrivals
}

// Apply makes podlane's table match r. It adds accept rules to iptables' FORWARD if that would drop pods' packets. If everything
// matches, it writes nothing. After a write it reads again. It works in the calling thread's network namespace. It returns what
// it wrote; with an error, what it wrote before the error.
func (fw *Firewall) Apply(ctx context.Context, r Rules) ([]kernel.Op, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	r = r.normalized()
	want := targetOf(r)
	have, err := read(fw.sets)
	if err != nil {
		return nil, err
	}
	if fw.wrongArrivals == nil {
		fw.wrongArrivals = wrongArrivals{}
	}
	fw.wrongArrivals.record(have, time.Now())
	done, err := want.apply(ctx, have)
	fw.evaluateOthers(done, r)
	fw.markDrift(done.ops, r, have.own)
	if err != nil {
		return done.ops, err
	}
	fw.rules, fw.table, fw.inPlace, fw.dropped = r, want.table, done.inPlace, countDrops(done.have.own)
	fw.sets = knownSets{done.have.generation, done.have.own.Sets}
	return done.ops, nil
}

// Dropped returns how many packets podlane's table had dropped at the last Apply without an error, by reason:
//
//   - vxlan_not_from_a_peer
//   - vxlan_from_a_wrong_interface
//   - vxlan_from_a_pod
//   - pod_source_forged
//   - http_from_a_pod
//
// A reason is absent if the Rules need no rule for it. If another program deletes a rule, its count restarts at zero.
func (fw *Firewall) Dropped() map[string]uint64 { return maps.Clone(fw.dropped) }

// markDrift marks the ops that repair what another program changed. have is what was read before the write. In podlane's table,
// these are the ops that the last verified table needs, too. In other tables, they restore a verified rule, or change something
// although the Rules are the same.
func (fw *Firewall) markDrift(ops []kernel.Op, r Rules, have nft.Installed) {
	if len(ops) == 0 || fw.table.Name == "" {
		return
	}
	lost := map[kernel.Op]bool{}
	for _, op := range fw.table.Plan(have).Ops {
		lost[op] = true
	}
	same := r.equal(fw.rules)
	for i, op := range ops {
		restored := op.Verb != "delete" && slices.Contains(fw.inPlace, op.Object)
		ops[i].Drift = lost[op] || restored || same && op.Verb != "add"
	}
}

// target is everything that the kernel should have.
type target struct {
	table   nft.Table
	forward [len(subnet.Families)][]nft.Rule
	legacy  [len(subnet.Families)][]string
	pods    [len(subnet.Families)][]eval.Packet // those that the accept rules in FORWARD are for
}

func targetOf(r Rules) target {
	t := target{table: buildTable(r)}
	for _, f := range subnet.Families {
		t.forward[f], t.legacy[f] = forwardRules(r.podPrefixes(f)), legacyRules(r.podPrefixes(f))
		t.pods[f] = forwardedPackets(r, f)
	}
	return t
}

// plan is one transaction.
type plan struct {
	nft.Plan
	inPlace []string // accept rules that a foreign chain has already, as the objects of ops
}

// plans compares the kernel with the target. podlane's table has one transaction, and each foreign chain another. So a chain
// that its owner is rebuilding does not delay the table.
func (t target) plans(have snapshot) []plan {
	plans := []plan{{Plan: t.table.Plan(have.own)}}
	for _, f := range subnet.Families {
		plans = append(plans, planForward(have, t.forward[f], t.pods[f], f))
	}
	return plans
}

// applyResult holds what apply has written and read.
type applyResult struct {
	ops     []kernel.Op
	inPlace []string                     // the accept rules in foreign chains, as in plan
	have    snapshot                     // after the write
	legacy  [len(subnet.Families)]string // the listings of iptables-legacy
}

// apply writes the difference between the target and what was read.
func (t target) apply(ctx context.Context, have snapshot) (done applyResult, err error) {
	plans := t.plans(have)
	done.have = have
	var transactions uint32
	done.ops, transactions, err = commitAll(plans)
	if len(done.ops) > 0 && err == nil {
		done.have, plans, err = t.verify(have.setsAfter(done.ops, transactions))
	}
	for _, p := range plans {
		done.inPlace = append(done.inPlace, p.inPlace...)
	}
	errs := []error{err}
	for _, f := range subnet.Families {
		l, listing, err := applyLegacy(ctx, t.legacy[f], t.pods[f], f)
		done.legacy[f] = listing
		done.ops, done.inPlace, errs = append(done.ops, l.Ops...), append(done.inPlace, l.inPlace...), append(errs, err)
	}
	return done, errors.Join(errs...)
}

// verify reads again. It fails if there is still a difference.
func (t target) verify(known knownSets) (snapshot, []plan, error) {
	have, err := read(known)
	if err != nil {
		return have, nil, err
	}
	plans := t.plans(have)
	for _, p := range plans {
		if len(p.Ops) > 0 {
			return have, plans, fmt.Errorf("verify nftables: after the write this is still to do: %s", p.Ops[0])
		}
	}
	return have, plans, nil
}

// commitAll commits every plan, even if another one fails. transactions is how many of them wrote something.
func commitAll(plans []plan) (ops []kernel.Op, transactions uint32, err error) {
	var errs []error
	for _, p := range plans {
		if err := nft.Commit(p.Plan); err != nil {
			errs = append(errs, err)
			continue
		}
		ops = append(ops, p.Ops...)
		if len(p.Steps) > 0 {
			transactions++
		}
	}
	return ops, transactions, errors.Join(errs...)
}
