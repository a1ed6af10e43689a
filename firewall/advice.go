package firewall

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"

	"github.com/podlane/podlane/nft"
	"github.com/podlane/podlane/subnet"
)

// Advice returns what other firewalls on this node may drop, as of the last Apply, each with the commands that allow it. It
// covers rules that podlaned cannot evaluate, firewalld and ufw if their chains were not found, and iptables-legacy if its
// program is absent or may not be run. It also names the peers whose VXLAN arrives on a wrong interface.
func (w *Firewall) Advice() []string { return slices.Clone(w.findings.notes) }

// acceptIn returns the commands that accept pods' packets in a chain.
func acceptIn(c nft.KernelChain, r Rules) (commands []string) {
	words := map[nftables.TableFamily]string{nftables.TableFamilyIPv4: "ip", nftables.TableFamilyIPv6: "ip6"}
	for _, f := range subnet.Families {
		if c.Table.Family != nftables.TableFamilyINet && c.Table.Family != nftables.TableFamilyNetdev && c.Table.Family != iptables[f].family {
			continue
		}
		for _, pods := range r.pods(f) {
			for _, side := range []string{"saddr", "daddr"} {
				commands = append(commands, fmt.Sprintf("nft insert rule %s %s %s %s %s %s accept",
					nft.FamilyName(c.Table.Family), c.Table.Name, c.Name, words[iptables[f].family], side, pods))
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
	return say(fmt.Sprintf("the kernel has iptables-legacy's filter table, and the program %s is not installed, or podlaned lacks CAP_NET_RAW, which it needs: if its FORWARD drops everything, by its policy or by a rule", iptables[f].legacy), commands)
}

func say(state string, commands []string) string {
	return state + "; to let the pods' packets through, run: " + strings.Join(commands, " && ")
}
