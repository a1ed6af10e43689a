package firewall

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/nft"
	"github.com/podlane/podlane/subnet"
)

// Problems returns the rules of other programs that certainly drop packets that podlane needs, as of the last Apply. Each
// has the commands that fix it.
func (w *Firewall) Problems() []string { return slices.Clone(w.findings.problems) }

// findings holds problems and notes about other programs' rules.
type findings struct{ problems, notes []string }

func (f *findings) add(o findings) {
	f.problems, f.notes = append(f.problems, o.problems...), append(f.notes, o.notes...)
}

// ruleManager is a program that makes its rules from its own configuration. podlane's packets must be allowed there.
type ruleManager struct {
	name     string
	commands func(Rules) []string
}

var ruleManagers = []ruleManager{{"firewalld", firewalldCommands}, {"ufw", ufwCommands}}

func firewalldCommands(r Rules) []string {
	commands := []string{fmt.Sprintf("firewall-cmd --permanent --add-port=%d/udp", r.Network.VXLAN.Port)}
	for _, p := range r.podPrefixes(subnet.Families[:]...) {
		commands = append(commands, fmt.Sprintf("firewall-cmd --permanent --zone=trusted --add-source=%s", p))
	}
	return append(commands, "firewall-cmd --reload")
}

func ufwCommands(r Rules) []string {
	commands := []string{fmt.Sprintf("ufw allow %d/udp", r.Network.VXLAN.Port)}
	for _, p := range r.podPrefixes(subnet.Families[:]...) {
		commands = append(commands, fmt.Sprintf("ufw allow from %s", p), fmt.Sprintf("ufw route allow from %s", p), fmt.Sprintf("ufw route allow to %s", p))
	}
	return commands
}

// chainFinding is a chain that drops, or may drop, packets that podlane needs.
type chainFinding struct {
	chain   string // in an operator's words
	manager string // the program that made the chain, if it is one of ruleManagers
	traffic traffic
	what    []string // the packets
	by      []string // the rules that drop them
	newOnly bool     // VXLAN would pass if it were in the state "new"
	fix     []string // commands, if the manager has none of its own
}

func (s *chainFinding) add(what, by string) {
	if !slices.Contains(s.what, what) {
		s.what = append(s.what, what)
	}
	if !slices.Contains(s.by, by) {
		s.by = append(s.by, by)
	}
}

// shortened joins the first items of a list.
func shortened(list []string) string {
	const most = 4
	if more := len(list) - most; more > 0 {
		return strings.Join(list[:most], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(list, ", ")
}

// problem returns the text for packets that are certainly dropped.
func (s chainFinding) problem(r Rules) string {
	why := ""
	if s.newOnly {
		why = fmt.Sprintf("; VXLAN is not tracked as a connection, so a rule that accepts UDP port %d in ctstate NEW must have NEW,UNTRACKED", r.Network.VXLAN.Port)
	}
	return fmt.Sprintf("%s drops %s (%s)%s; to let them through, run: %s", s.chain, shortened(s.what), shortened(s.by), why, s.commands(r))
}

// note returns the text for packets that may be dropped.
func (s chainFinding) note(r Rules) string {
	return fmt.Sprintf("cannot tell whether %s drops %s (%s); if it does, run: %s", s.chain, shortened(s.what), shortened(s.by), s.commands(r))
}

func (s chainFinding) commands(r Rules) string {
	for _, a := range ruleManagers {
		if a.name == s.manager {
			return strings.Join(a.commands(r), " && ")
		}
	}
	return strings.Join(s.fix, " && ")
}

// chainFindings holds the chains that certainly drop packets and those that may, in the order in which they were found.
type chainFindings struct{ certain, possible []*chainFinding }

// add adds the fate of packets in a chain.
func (s *chainFindings) add(like chainFinding, p packet, f fate, ifNew fate) {
	list, by := &s.possible, f.doubt
	switch {
	case f.dropped():
		list, by = &s.certain, f.by
	case !f.open():
		return
	case f.rest == dropIt:
		by = f.by
	}
	at := slices.IndexFunc(*list, func(o *chainFinding) bool { return o.chain == like.chain && o.traffic == like.traffic })
	if at >= 0 && p.sameNode {
		return // what lets the others through is for them too
	}
	if at < 0 {
		at = len(*list)
		*list = append(*list, &like)
	}
	found := (*list)[at]
	found.add(p.what, by)
	found.newOnly = found.newOnly || p.traffic == tunnelIn && ifNew.accept && !ifNew.drop
	for _, command := range like.fix {
		if !slices.Contains(found.fix, command) {
			found.fix = append(found.fix, command)
		}
	}
}

// findings returns their texts.
func (s chainFindings) findings(r Rules) (f findings) {
	for _, c := range s.certain {
		f.problems = append(f.problems, c.problem(r))
	}
	for _, c := range s.possible {
		if !slices.ContainsFunc(s.certain, func(o *chainFinding) bool { return o.chain == c.chain && o.traffic == c.traffic }) {
			f.notes = append(f.notes, c.note(r))
		}
	}
	return f
}

// findingsOf returns the texts for the rulings on nftables' chains.
func findingsOf(rulings []ruling, have snapshot, rules Rules) findings {
	var s chainFindings
	ufw := hasUfw(have)
	for _, r := range rulings {
		c := r.chain
		like := chainFinding{
			chain:   fmt.Sprintf("chain %s %s %s", nft.FamilyName(c.Table.Family), c.Table.Name, c.Name),
			traffic: r.packet.traffic, fix: fixes(r, rules),
		}
		switch {
		case c.Table.Name == "firewalld":
			like.manager = "firewalld"
		case ufw && isIptablesFilter(c):
			like.manager = "ufw"
		}
		s.add(like, r.packet, r.fate, r.ifNew)
	}
	return s.findings(rules)
}

// fixes returns the commands that accept the packets of a ruling in its chain.
func fixes(r ruling, rules Rules) []string {
	c := r.chain
	insert := fmt.Sprintf("nft insert rule %s %s %s ", nft.FamilyName(c.Table.Family), c.Table.Name, c.Name)
	switch r.packet.traffic {
	case bridged:
		return bridgeFixes(insert, r.packet, rules)
	case podsTraffic:
		return acceptIn(c, rules)
	}
	state := ""
	if r.packet.traffic == tunnelIn && r.ifNew.accept && !r.ifNew.drop && r.dropped() {
		state = "ct state new,untracked "
	}
	return []string{fmt.Sprintf("%s%sudp dport %d accept", insert, state, rules.Network.VXLAN.Port)}
}

// bridgeFixes returns such commands for a bridge chain. They need no kernel module but that of the chain.
func bridgeFixes(insert string, p packet, r Rules) (commands []string) {
	switch {
	case p.ethertype == unix.ETH_P_ARP:
		return []string{insert + "ether type arp accept"}
	case p.proto == unix.IPPROTO_ICMPV6:
		return []string{insert + "meta l4proto ipv6-icmp accept"}
	}
	for _, pods := range r.pods(p.family) {
		for _, side := range []side{source, destination} {
			commands = append(commands, insert+addressWords(side, p.family)+pods.String()+" accept")
		}
	}
	return commands
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
