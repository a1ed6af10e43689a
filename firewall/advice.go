package firewall

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"

	"github.com/podlane/podlane/subnet"
)

// Advice says what other firewalls on this node may hold up, with the commands that allow it: firewalld, ufw, chains of
// others that drop by default what they forward or what comes in, and iptables-legacy where its program is absent or may
// not be run. It is as the last Apply has seen them.
func (w *Firewall) Advice() []string { return slices.Clone(w.advice) }

// advise is what there is to say of what was read.
func advise(have snapshot, r Rules) []string {
	advice := adviseNftables(have, r)
	for _, f := range subnet.Families {
		if r.Network.Range(f).On() && legacyLoaded(f) && legacyProgram(f) == "" {
			advice = append(advice, adviseLegacy(r, f))
		}
	}
	return advice
}

func adviseNftables(have snapshot, r Rules) (advice []string) {
	if slices.ContainsFunc(have.tables, func(t heldTable) bool { return t.name == "firewalld" }) {
		commands := []string{fmt.Sprintf("firewall-cmd --permanent --add-port=%d/udp", r.Network.VXLAN.Port)}
		for _, p := range r.podPrefixes(subnet.Families[:]...) {
			commands = append(commands, fmt.Sprintf("firewall-cmd --permanent --zone=trusted --add-source=%s", p))
		}
		advice = append(advice, say("firewalld is active", append(commands, "firewall-cmd --reload")))
	}
	ufw := slices.ContainsFunc(have.chains, func(c heldChain) bool { return strings.HasPrefix(c.name, "ufw-") || strings.HasPrefix(c.name, "ufw6-") })
	if ufw {
		commands := []string{fmt.Sprintf("ufw allow %d/udp", r.Network.VXLAN.Port)}
		for _, p := range r.podPrefixes(subnet.Families[:]...) {
			commands = append(commands, fmt.Sprintf("ufw allow from %s", p), fmt.Sprintf("ufw route allow from %s", p), fmt.Sprintf("ufw route allow to %s", p))
		}
		advice = append(advice, say("ufw is active", commands))
	}
	for _, c := range have.chains {
		if dropsByDefault(c, nftables.ChainHookInput) && c.table != "firewalld" && !ufw {
			advice = append(advice, fmt.Sprintf("chain %s %s %s drops what no rule of it accepts; to let the tunnels' packets in, where no rule does yet, run: nft insert rule %[1]s %[2]s %[3]s udp dport %[4]d accept",
				family(c.family), c.table, c.name, r.Network.VXLAN.Port))
		}
		if dropsByDefault(c, nftables.ChainHookForward) && !isIptables(c) {
			advice = append(advice, say(fmt.Sprintf("chain %s %s %s drops what no rule of it accepts", family(c.family), c.table, c.name), acceptIn(c, r)))
		}
	}
	return advice
}

// dropsByDefault tells whether a chain of IP packets drops at a hook what it does not accept.
func dropsByDefault(c heldChain, hook *nftables.ChainHook) bool {
	known := []nftables.TableFamily{nftables.TableFamilyINet, nftables.TableFamilyIPv4, nftables.TableFamilyIPv6}
	return c.base.kind != "" && c.base.hook == *hook && c.base.policy == nftables.ChainPolicyDrop && slices.Contains(known, c.family)
}

// isIptables tells whether a chain is iptables' FORWARD, which planForward sees to.
func isIptables(c heldChain) bool {
	return c.family != nftables.TableFamilyINet && c.table == filter && c.name == forwardChain
}

func acceptIn(c heldChain, r Rules) (commands []string) {
	words := map[nftables.TableFamily]string{nftables.TableFamilyIPv4: "ip", nftables.TableFamilyIPv6: "ip6"}
	for _, f := range subnet.Families {
		if c.family != nftables.TableFamilyINet && c.family != iptables[f].family {
			continue
		}
		for _, pods := range r.pods(f) {
			for _, side := range []string{"saddr", "daddr"} {
				commands = append(commands, fmt.Sprintf("nft insert rule %s %s %s %s %s %s accept",
					family(c.family), c.table, c.name, words[iptables[f].family], side, pods))
			}
		}
	}
	return commands
}

func adviseLegacy(r Rules, f subnet.Family) string {
	var commands []string
	for _, rule := range legacyRules(r.podPrefixes(f)) {
		commands = append(commands, iptables[f].legacy+" -I"+strings.TrimPrefix(rule, "-A"))
	}
	return say(fmt.Sprintf("the kernel has iptables-legacy's filter table, and the program %s is not installed, or podlaned lacks CAP_NET_RAW, which it needs: if its FORWARD policy is DROP", iptables[f].legacy), commands)
}

func say(state string, commands []string) string {
	return state + "; to let the pods' packets through, run: " + strings.Join(commands, " && ")
}
