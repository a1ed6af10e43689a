package firewall

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"

	"github.com/podlane/podlane/firewall/eval"
	"github.com/podlane/podlane/nft"
	"github.com/podlane/podlane/subnet"
)

// Problems returns the rules of other programs that certainly drop packets that podlane needs, as of the last Apply. Each
// has the commands that fix it.
func (fw *Firewall) Problems() []string { return slices.Clone(fw.findings.problems) }

// Advice returns what else may drop packets that podlane needs, as of the last Apply. Each note has the commands that allow
// them. There are notes about:
//   - rules that podlaned cannot evaluate
//   - firewalld and ufw, if their chains were not found
//   - iptables-legacy, if its program is not installed or podlaned may not run it
//   - peers whose VXLAN arrives on a wrong interface
func (fw *Firewall) Advice() []string { return slices.Clone(fw.findings.notes) }

// findings holds problems and notes about other programs' rules.
type findings struct{ problems, notes []string }

func (f *findings) add(o findings) {
	f.problems, f.notes = append(f.problems, o.problems...), append(f.notes, o.notes...)
}

// chainFinding is a chain that drops, or may drop, packets that podlane needs.
type chainFinding struct {
	chain   string // in an operator's words
	manager string // the program that made the chain, if it is one of ruleManagers
	traffic eval.Traffic
	packets []string // in an operator's words
	rules   []string // that drop them
	newOnly bool     // VXLAN would be accepted if its state were "new" instead of "untracked"
	fix     []string // commands, if the manager has none of its own
}

// appendNew appends a text that the list does not have.
func appendNew(list []string, text string) []string {
	if slices.Contains(list, text) {
		return list
	}
	return append(list, text)
}

// firstOf joins the first four items of a list, and counts the others.
func firstOf(list []string) string {
	const most = 4
	if more := len(list) - most; more > 0 {
		return strings.Join(list[:most], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(list, ", ")
}

// problem returns the text for packets that are certainly dropped.
func (c chainFinding) problem(r Rules) string {
	why := ""
	if c.newOnly {
		why = fmt.Sprintf("; VXLAN is not tracked as a connection, so a rule that accepts UDP port %d in ctstate NEW must have NEW,UNTRACKED", r.Network.VXLAN.Port)
	}
	return fmt.Sprintf("%s drops %s (%s)%s; to let them through, run: %s", c.chain, firstOf(c.packets), firstOf(c.rules), why, c.commands(r))
}

// note returns the text for packets that may be dropped.
func (c chainFinding) note(r Rules) string {
	return fmt.Sprintf("cannot tell whether %s drops %s (%s); if it does, run: %s", c.chain, firstOf(c.packets), firstOf(c.rules), c.commands(r))
}

func (c chainFinding) commands(r Rules) string {
	for _, m := range ruleManagers {
		if m.name == c.manager {
			return strings.Join(m.commands(r), " && ")
		}
	}
	return strings.Join(c.fix, " && ")
}

// chainFindings holds the chains that certainly drop packets and those that may, in the order in which they were found.
type chainFindings struct{ certain, possible []*chainFinding }

// add adds the outcome of packets in a chain.
func (s *chainFindings) add(finding chainFinding, p eval.Packet, o, ifNew eval.Outcome) {
	var list *[]*chainFinding
	switch {
	case o.Dropped():
		list = &s.certain
	case o.Uncertain():
		list = &s.possible
	default:
		return
	}
	at := slices.IndexFunc(*list, finding.sameChain)
	if at >= 0 && p.SameNode {
		return // the commands for the other packets accept these too
	}
	if at < 0 {
		at = len(*list)
		*list = append(*list, &finding)
	}
	found := (*list)[at]
	found.packets, found.rules = appendNew(found.packets, p.What), appendNew(found.rules, o.Rule())
	found.newOnly = found.newOnly || p.Traffic == eval.TunnelIn && ifNew.Accepted()
	for _, command := range finding.fix {
		found.fix = appendNew(found.fix, command)
	}
}

// sameChain reports whether both are about the same packets in the same chain.
func (c chainFinding) sameChain(o *chainFinding) bool {
	return o.chain == c.chain && o.traffic == c.traffic
}

// findings returns their texts.
func (s chainFindings) findings(r Rules) (f findings) {
	for _, c := range s.certain {
		f.problems = append(f.problems, c.problem(r))
	}
	for _, c := range s.possible {
		if !slices.ContainsFunc(s.certain, c.sameChain) {
			f.notes = append(f.notes, c.note(r))
		}
	}
	return f
}

// legacyNote returns the note about iptables-legacy's rules, which only its own program can read.
func legacyNote(r Rules, f subnet.Family) string {
	return fmt.Sprintf("podlaned cannot read iptables-legacy's filter table: the program %s is not installed, or podlaned lacks CAP_NET_RAW; "+
		"if its chain FORWARD drops everything, by its policy or by a rule, run: %s", iptables[f].legacy, strings.Join(legacyInserts(r, f), " && "))
}

func withCommands(state string, commands []string) string {
	return state + "; to let the pods' packets through, run: " + strings.Join(commands, " && ")
}

// isIptablesFilter reports whether a chain is one of iptables' filter table.
func isIptablesFilter(c nft.KernelChain) bool {
	return c.Table.Name == filter && (c.Table.Family == nftables.TableFamilyIPv4 || c.Table.Family == nftables.TableFamilyIPv6)
}

func hasUfw(have snapshot) bool {
	return slices.ContainsFunc(have.Chains, func(c nft.KernelChain) bool {
		return strings.HasPrefix(c.Name, "ufw-") || strings.HasPrefix(c.Name, "ufw6-")
	})
}
