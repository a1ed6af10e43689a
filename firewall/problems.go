package firewall

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/subnet"
)

// Problems returns what rules of other programs drop for certain of the packets that podlane needs, each with the command
// that fixes it. It is as of the last Apply.
func (w *Firewall) Problems() []string { return slices.Clone(w.findings.problems) }

// findings are what is to be told of other programs' rules.
type findings struct{ problems, notes []string }

func (f *findings) add(o findings) {
	f.problems, f.notes = append(f.problems, o.problems...), append(f.notes, o.notes...)
}

// author is a program that makes its rules from a configuration of its own, in which podlane's needs have to be allowed.
type author struct {
	name     string
	commands func(Rules) []string
}

var authors = []author{{"firewalld", firewalldCommands}, {"ufw", ufwCommands}}

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

// suspect is a chain with what becomes in it of the packets that podlane needs, so far as they do not all pass.
type suspect struct {
	chain   string // in an operator's words
	author  string // the program that made it, if it is one of authors
	traffic traffic
	what    []string // the packets
	by      []string // the rules that drop them
	newOnly bool     // VXLAN would pass if it were in the state "new"
	fix     []string // commands, unless the author has its own
}

func (s *suspect) add(what, by string) {
	if !slices.Contains(s.what, what) {
		s.what = append(s.what, what)
	}
	if !slices.Contains(s.by, by) {
		s.by = append(s.by, by)
	}
}

// shortened joins the first words of a list.
func shortened(list []string) string {
	const most = 4
	if more := len(list) - most; more > 0 {
		return strings.Join(list[:most], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(list, ", ")
}

// problem says what is dropped for certain.
func (s suspect) problem(r Rules) string {
	why := ""
	if s.newOnly {
		why = fmt.Sprintf("; VXLAN is not tracked as a connection, so a rule that accepts UDP port %d in ctstate NEW must have NEW,UNTRACKED", r.Network.VXLAN.Port)
	}
	return fmt.Sprintf("%s drops %s (%s)%s; to let them through, run: %s", s.chain, shortened(s.what), shortened(s.by), why, s.commands(r))
}

// note says what may be dropped.
func (s suspect) note(r Rules) string {
	return fmt.Sprintf("cannot tell whether %s drops %s (%s); if it does, run: %s", s.chain, shortened(s.what), shortened(s.by), s.commands(r))
}

func (s suspect) commands(r Rules) string {
	for _, a := range authors {
		if a.name == s.author {
			return strings.Join(a.commands(r), " && ")
		}
	}
	return strings.Join(s.fix, " && ")
}

// sorted is the suspects that drop for certain and those that may, in the order in which they were found.
type sorted struct{ certain, possible []*suspect }

// take adds what becomes of packets in a chain.
func (s *sorted) take(like suspect, p packet, f fate, ifNew fate) {
	list, by := &s.possible, f.doubt
	switch {
	case f.dropped():
		list, by = &s.certain, f.by
	case !f.open():
		return
	case f.rest == dropIt:
		by = f.by
	}
	at := slices.IndexFunc(*list, func(o *suspect) bool { return o.chain == like.chain && o.traffic == like.traffic })
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

// findings puts them in words.
func (s sorted) findings(r Rules) (f findings) {
	for _, c := range s.certain {
		f.problems = append(f.problems, c.problem(r))
	}
	for _, c := range s.possible {
		if !slices.ContainsFunc(s.certain, func(o *suspect) bool { return o.chain == c.chain && o.traffic == c.traffic }) {
			f.notes = append(f.notes, c.note(r))
		}
	}
	return f
}

// findingsOf puts the rulings on nftables' chains in words.
func findingsOf(rulings []ruling, have snapshot, rules Rules) findings {
	var s sorted
	ufw := hasUfw(have)
	for _, r := range rulings {
		c := r.chain
		like := suspect{
			chain:   fmt.Sprintf("chain %s %s %s", family(c.family), c.table, c.name),
			traffic: r.packet.traffic, fix: fixes(r, rules),
		}
		switch {
		case c.table == "firewalld":
			like.author = "firewalld"
		case ufw && isIptablesFilter(c):
			like.author = "ufw"
		}
		s.take(like, r.packet, r.fate, r.ifNew)
	}
	return s.findings(rules)
}

// fixes returns the commands that let the packets of a ruling through its chain.
func fixes(r ruling, rules Rules) []string {
	c := r.chain
	insert := fmt.Sprintf("nft insert rule %s %s %s ", family(c.family), c.table, c.name)
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

// bridgeFixes need no module of the kernel beside that of the chain.
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
func isIptablesFilter(c heldChain) bool {
	return c.table == filter && (c.family == nftables.TableFamilyIPv4 || c.family == nftables.TableFamilyIPv6)
}

func hasUfw(have snapshot) bool {
	return slices.ContainsFunc(have.chains, func(c heldChain) bool { return strings.HasPrefix(c.name, "ufw-") || strings.HasPrefix(c.name, "ufw6-") })
}
