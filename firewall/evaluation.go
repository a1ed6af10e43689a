package firewall

import (
	"fmt"
	"slices"
	"strings"

	"github.com/podlane/podlane/firewall/eval"
	"github.com/podlane/podlane/nft"
	"github.com/podlane/podlane/subnet"
)

// evaluation holds the result of the evaluation of nftables, and its input. It is not repeated while the input is the same.
type evaluation struct {
	done       bool
	generation uint32
	rules      Rules
	findings
	legacy [len(subnet.Families)]legacyEvaluation
}

// legacyEvaluation holds the result of the evaluation of iptables-legacy, and its input.
type legacyEvaluation struct {
	listing string
	findings
}

// evaluateOthers evaluates the rules of other programs after an Apply.
func (w *Firewall) evaluateOthers(did outcome, r Rules) {
	var failure findings
	if !w.evaluated.rules.equal(r) {
		w.evaluated = evaluation{rules: r, findings: w.evaluated.findings}
	}
	if !w.evaluated.done || w.evaluated.generation != did.have.generation {
		fates, generation, err := evaluateChains(r)
		if err == nil {
			f := findingsOf(fates, did.have, r)
			f.notes = append(f.notes, managerNotes(fates, did.have, r)...)
			w.evaluated = evaluation{done: true, generation: generation, rules: r, findings: f, legacy: w.evaluated.legacy}
		} else {
			failure.notes = []string{"the rules of other programs could not be evaluated: " + err.Error()}
		}
	}
	all := findings{notes: w.wrongArrivals.notes(r)}
	all.add(w.evaluated.findings)
	all.add(failure)
	for _, f := range subnet.Families {
		if l := &w.evaluated.legacy[f]; l.listing != did.legacy[f] {
			*l = legacyEvaluation{did.legacy[f], legacyFindings(did.legacy[f], r, f)}
		}
		all.add(w.evaluated.legacy[f].findings)
		if r.Network.Range(f).On() && legacyLoaded(f) && legacyProgram(f) == "" {
			all.notes = append(all.notes, legacyNote(r, f))
		}
	}
	w.findings = all
}

// findingsOf returns the texts for the fates in nftables' chains.
func findingsOf(fates []chainFate, have snapshot, rules Rules) findings {
	var all chainFindings
	ufw := hasUfw(have)
	for _, f := range fates {
		finding := chainFinding{
			chain:   fmt.Sprintf("chain %s %s", f.chain.Table, f.chain.Name),
			traffic: f.packet.Traffic, fix: fixes(f, rules),
		}
		switch {
		case f.chain.Table.Name == "firewalld":
			finding.manager = "firewalld"
		case ufw && isIptablesFilter(f.chain):
			finding.manager = "ufw"
		}
		all.add(finding, f.packet, f.Fate, f.ifNew)
	}
	return all.findings(rules)
}

// managerNotes returns notes about firewalld and ufw if none of their chains could be evaluated.
func managerNotes(fates []chainFate, have snapshot, rules Rules) (notes []string) {
	evaluated := func(of func(nft.KernelChain) bool) bool {
		return slices.ContainsFunc(fates, func(f chainFate) bool { return of(f.chain) })
	}
	firewalld := slices.ContainsFunc(have.Tables, func(t nft.KernelTable) bool { return t.Name == "firewalld" })
	if firewalld && !evaluated(func(c nft.KernelChain) bool { return c.Table.Name == "firewalld" }) {
		notes = append(notes, withCommands("firewalld is active", firewalldCommands(rules)))
	}
	if hasUfw(have) && !evaluated(isIptablesFilter) {
		notes = append(notes, withCommands("ufw is active", ufwCommands(rules)))
	}
	return notes
}

// legacyFindings evaluates the filter table that iptables-legacy printed.
func legacyFindings(output string, r Rules, f subnet.Family) findings {
	if output == "" {
		return findings{}
	}
	var all chainFindings
	listing := eval.ParseListing(output)
	ufw := strings.Contains(output, "\n-N ufw")
	for _, p := range requiredPackets(r, func(string) uint32 { return 0 }) {
		if p.Family != f {
			continue
		}
		fate, ok := listing.Fate(p)
		if !ok {
			continue
		}
		var ifNew eval.Fate
		if p.State == eval.Untracked {
			tracked := p
			tracked.State = eval.New
			ifNew, _ = listing.Fate(tracked)
		}
		finding := chainFinding{
			chain:   iptables[f].legacy + "'s chain " + p.Traffic.FilterChain(),
			traffic: p.Traffic, fix: legacyFixes(r, p, ifNew),
		}
		if ufw {
			finding.manager = "ufw"
		}
		all.add(finding, p, fate, ifNew)
	}
	return all.findings(r)
}
