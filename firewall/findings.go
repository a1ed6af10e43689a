package firewall

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"

	"github.com/podlane/podlane/nft"
	"github.com/podlane/podlane/subnet"
)

// judged holds the result of the evaluation of nftables, and its input. It is not repeated while the input is the same.
type judged struct {
	done       bool
	generation uint32
	rules      Rules
	findings
	legacy [len(subnet.Families)]judgedLegacy
}

// judgedLegacy holds the result of the evaluation of iptables-legacy, and the listing that was evaluated.
type judgedLegacy struct {
	listing string
	findings
}

// judgeOthers evaluates the rules of other programs after an Apply.
func (w *Firewall) judgeOthers(did outcome, r Rules) {
	var trouble findings
	if !w.judged.rules.equal(r) {
		w.judged = judged{rules: r, findings: w.judged.findings}
	}
	if !w.judged.done || w.judged.generation != did.have.generation {
		rulings, generation, err := judge(r)
		if err == nil {
			f := findingsOf(rulings, did.have, r)
			f.notes = append(f.notes, unjudged(rulings, did.have, r)...)
			w.judged = judged{done: true, generation: generation, rules: r, findings: f, legacy: w.judged.legacy}
		} else {
			trouble.notes = []string{"the rules of other programs could not be evaluated: " + err.Error()}
		}
	}
	all := findings{notes: w.wrongArrivals.notes(r)}
	all.add(w.judged.findings)
	all.add(trouble)
	for _, f := range subnet.Families {
		if l := &w.judged.legacy[f]; l.listing != did.legacy[f] {
			*l = judgedLegacy{did.legacy[f], legacyFindings(did.legacy[f], r, f)}
		}
		all.add(w.judged.legacy[f].findings)
		if r.Network.Range(f).On() && legacyLoaded(f) && legacyProgram(f) == "" {
			all.notes = append(all.notes, adviseLegacy(r, f))
		}
	}
	w.findings = all
}

// unjudged returns notes about firewalld and ufw if none of their chains could be evaluated.
func unjudged(rulings []ruling, have snapshot, rules Rules) (notes []string) {
	ruled := func(of func(nft.KernelChain) bool) bool {
		return slices.ContainsFunc(rulings, func(r ruling) bool { return of(r.chain) })
	}
	firewalld := slices.ContainsFunc(have.Tables, func(t nft.KernelTable) bool { return t.Name == "firewalld" })
	if firewalld && !ruled(func(c nft.KernelChain) bool { return c.Table.Name == "firewalld" }) {
		notes = append(notes, say("firewalld is active", firewalldCommands(rules)))
	}
	if hasUfw(have) && !ruled(isIptablesFilter) {
		notes = append(notes, say("ufw is active", ufwCommands(rules)))
	}
	return notes
}

// legacyFindings evaluates the filter table that iptables-legacy printed.
func legacyFindings(listing string, r Rules, f subnet.Family) findings {
	var s chainFindings
	if listing == "" {
		return findings{}
	}
	t := readLegacyTable(listing)
	ufw := strings.Contains(listing, "\n-N ufw")
	for _, p := range packetsOf(r, func(string) uint32 { return 0 }) {
		h, ok := legacyHooks[p.traffic]
		if _, has := t.policies[h.chain]; !ok || !has || p.family != f {
			continue
		}
		var ifNew fate
		verdict := t.verdict(h.chain, p, h.hook)
		if p.state == stateUntracked {
			tracked := p
			tracked.state = stateNew
			ifNew = t.verdict(h.chain, tracked, h.hook)
		}
		like := chainFinding{chain: iptables[f].legacy + "'s chain " + h.chain, traffic: p.traffic, fix: legacyFixes(r, p, ifNew)}
		if ufw {
			like.manager = "ufw"
		}
		s.add(like, p, verdict, ifNew)
	}
	return s.findings(r)
}

// legacyHooks holds the chains of the filter table that packets pass.
var legacyHooks = map[traffic]struct {
	chain string
	hook  nftables.ChainHook
}{
	podsTraffic: {forwardChain, *nftables.ChainHookForward},
	tunnelIn:    {"INPUT", *nftables.ChainHookInput},
	tunnelOut:   {"OUTPUT", *nftables.ChainHookOutput},
}

// legacyFixes returns the commands that accept packets.
func legacyFixes(r Rules, p packet, ifNew fate) (commands []string) {
	if p.traffic == podsTraffic {
		for _, rule := range legacyRules(r.podPrefixes(p.family)) {
			commands = append(commands, iptables[p.family].legacy+" -I"+strings.TrimPrefix(rule, "-A"))
		}
		return commands
	}
	state := ""
	if p.traffic == tunnelIn && ifNew.accept && !ifNew.drop {
		state = "-m conntrack --ctstate NEW,UNTRACKED "
	}
	return []string{fmt.Sprintf("%s -I %s -p udp -m udp --dport %d %s-j ACCEPT", iptables[p.family].legacy, legacyHooks[p.traffic].chain, r.Network.VXLAN.Port, state)}
}
