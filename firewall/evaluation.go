package firewall

import (
	"fmt"
	"slices"
	"strings"

	"github.com/podlane/podlane/firewall/eval"
	"github.com/podlane/podlane/nft"
	"github.com/podlane/podlane/subnet"
)

// evaluation holds the result of the evaluation of nftables, and its input. The evaluation is repeated only if the input changes.
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
func (fw *Firewall) evaluateOthers(done applyResult, r Rules) {
	var failure findings
	if !fw.evaluated.rules.equal(r) {
		fw.evaluated = evaluation{rules: r, findings: fw.evaluated.findings}
	}
	if !fw.evaluated.done || fw.evaluated.generation != done.have.generation {
		outcomes, generation, err := evaluateChains(r)
		if err == nil {
			f := findingsOf(outcomes, done.have, r)
			f.notes = append(f.notes, managerNotes(outcomes, done.have, r)...)
			fw.evaluated = evaluation{done: true, generation: generation, rules: r, findings: f, legacy: fw.evaluated.legacy}
		} else {
			failure.notes = []string{"the rules of other programs could not be evaluated: " + err.Error()}
		}
	}
	all := findings{notes: fw.wrongArrivals.notes(r)}
	all.add(fw.evaluated.findings)
	all.add(failure)
	for _, f := range subnet.Families {
		if l := &fw.evaluated.legacy[f]; l.listing != done.legacy[f] {
			*l = legacyEvaluation{done.legacy[f], legacyFindings(done.legacy[f], r, f)}
		}
		all.add(fw.evaluated.legacy[f].findings)
		if r.Network.Range(f).On() && legacyLoaded(f) && legacyProgram(f) == "" {
			all.notes = append(all.notes, legacyNote(r, f))
		}
	}
	fw.findings = all
}

// findingsOf returns the texts for the outcomes in nftables' chains.
func findingsOf(outcomes []chainOutcome, have snapshot, rules Rules) findings {
	var all chainFindings
	ufw := hasUfw(have)
	for _, o := range outcomes {
		finding := chainFinding{
			chain:   fmt.Sprintf("chain %s %s", o.chain.Table, o.chain.Name),
			traffic: o.packet.Traffic, fix: fixes(o, rules),
		}
		switch {
		case o.chain.Table.Name == "firewalld":
			finding.manager = "firewalld"
		case ufw && isIptablesFilter(o.chain):
			finding.manager = "ufw"
		}
		all.add(finding, o.packet, o.Outcome, o.ifNew)
	}
	return all.findings(rules)
}

// managerNotes returns notes about firewalld and ufw if they are active and no chain of theirs was evaluated.
func managerNotes(outcomes []chainOutcome, have snapshot, rules Rules) (notes []string) {
	evaluated := func(of func(nft.KernelChain) bool) bool {
		return slices.ContainsFunc(outcomes, func(o chainOutcome) bool { return of(o.chain) })
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
	for _, p := range requiredPackets(r) {
		if p.Family != f {
			continue
		}
		outcome, ok := listing.Evaluate(p)
		if !ok {
			continue
		}
		var ifNew eval.Outcome
		if p.State == eval.Untracked {
			tracked := p
			tracked.State = eval.New
			ifNew, _ = listing.Evaluate(tracked)
		}
		finding := chainFinding{
			chain:   iptables[f].legacy + "'s chain " + p.Traffic.FilterChain(),
			traffic: p.Traffic, fix: legacyFixes(r, p, ifNew),
		}
		if ufw {
			finding.manager = "ufw"
		}
		all.add(finding, p, outcome, ifNew)
	}
	return all.findings(r)
}
