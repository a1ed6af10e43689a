package firewall

import (
	"fmt"
	"strings"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/firewall/eval"
	"github.com/podlane/podlane/nft"
	"github.com/podlane/podlane/subnet"
)

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

// fixes returns the commands that accept the packets in their chain.
func fixes(o chainOutcome, rules Rules) []string {
	insert := fmt.Sprintf("nft insert rule %s %s ", o.chain.Table, o.chain.Name)
	switch o.packet.Traffic {
	case eval.Bridged:
		return bridgeFixes(insert, o.packet, rules)
	case eval.Forwarded:
		return forwardFixes(insert, o.chain, rules)
	}
	state := ""
	if o.packet.Traffic == eval.TunnelIn && o.ifNew.Accepted() && o.Dropped() {
		state = "ct state new,untracked "
	}
	return []string{fmt.Sprintf("%s%sudp dport %d accept", insert, state, rules.Network.VXLAN.Port)}
}

// bridgeFixes returns the commands for a bridge chain. Their rules need no further kernel module.
func bridgeFixes(insert string, p eval.Packet, r Rules) (commands []string) {
	switch {
	case p.ARP:
		return []string{insert + "ether type arp accept"}
	case p.Protocol == unix.IPPROTO_ICMPV6:
		return []string{insert + "meta l4proto ipv6-icmp accept"}
	}
	return acceptPods(insert, r, p.Family)
}

// forwardFixes returns the commands for a chain that pods' packets pass.
func forwardFixes(insert string, c nft.KernelChain, r Rules) (commands []string) {
	for _, f := range subnet.Families {
		if c.Table.Family == nftables.TableFamilyINet || c.Table.Family == nftables.TableFamilyNetdev || c.Table.Family == iptables[f].family {
			commands = append(commands, acceptPods(insert, r, f)...)
		}
	}
	return commands
}

// acceptPods returns the commands that accept the packets from pods and to pods.
func acceptPods(insert string, r Rules, f subnet.Family) (commands []string) {
	for _, pods := range r.pods(f) {
		for _, s := range []side{source, destination} {
			commands = append(commands, insert+addressText(s, f)+pods.String()+" accept")
		}
	}
	return commands
}

// legacyFixes returns the commands for a chain of iptables-legacy.
func legacyFixes(r Rules, p eval.Packet, ifNew eval.Outcome) []string {
	if p.Traffic == eval.Forwarded {
		return legacyInserts(r, p.Family)
	}
	state := ""
	if p.Traffic == eval.TunnelIn && ifNew.Accepted() {
		state = "-m conntrack --ctstate NEW,UNTRACKED "
	}
	return []string{fmt.Sprintf("%s -I %s -p udp -m udp --dport %d %s-j ACCEPT",
		iptables[p.Family].legacy, p.Traffic.FilterChain(), r.Network.VXLAN.Port, state)}
}

// legacyInserts returns the commands that accept pods' packets in iptables-legacy's FORWARD.
func legacyInserts(r Rules, f subnet.Family) (commands []string) {
	for _, rule := range legacyRules(r.podPrefixes(f)) {
		commands = append(commands, iptables[f].legacy+" -I"+strings.TrimPrefix(rule, "-A"))
	}
	return commands
}
