package firewall

import (
	"strings"
	"testing"
)

func TestAdvice(t *testing.T) {
	for name, c := range map[string]struct{ script, want string }{
		"nothing":                     {"", ""},
		"Docker, which Apply sees to": {"iptables-nft -P FORWARD DROP", ""},
		"firewalld": {"nft add table inet firewalld",
			"firewalld is active; to let the pods' packets through, run: firewall-cmd --permanent --add-port=8472/udp && firewall-cmd --permanent --zone=trusted --add-source=10.5.0.0/16 && firewall-cmd --permanent --zone=trusted --add-source=fd00:5::/48 && firewall-cmd --reload"},
		"ufw": {"iptables-nft -N ufw-before-forward",
			"ufw is active; to let the pods' packets through, run: ufw allow 8472/udp && ufw allow from 10.5.0.0/16 && ufw route allow from 10.5.0.0/16 && ufw route allow to 10.5.0.0/16 && ufw allow from fd00:5::/48 && ufw route allow from fd00:5::/48 && ufw route allow to fd00:5::/48"},
		"a rule set of the operator's": {"nft add table inet site; nft add chain inet site transit '{ type filter hook forward priority 0; policy drop; }'",
			"chain inet site transit drops what no rule of it accepts; to let the pods' packets through, run: nft insert rule inet site transit ip saddr 10.5.0.0/16 accept && nft insert rule inet site transit ip daddr 10.5.0.0/16 accept && nft insert rule inet site transit ip6 saddr fd00:5::/48 accept && nft insert rule inet site transit ip6 daddr fd00:5::/48 accept"},
		"a rule set that lets in little": {"nft add table inet site; nft add chain inet site in '{ type filter hook input priority 0; policy drop; }'; iptables-nft -P INPUT DROP",
			"chain inet site in drops what no rule of it accepts; to let the tunnels' packets in, where no rule does yet, run: nft insert rule inet site in udp dport 8472 accept\n" +
				"chain ip filter INPUT drops what no rule of it accepts; to let the tunnels' packets in, where no rule does yet, run: nft insert rule ip filter INPUT udp dport 8472 accept"},
		"ufw, which has a word for it": {"iptables-nft -N ufw-before-input; iptables-nft -P INPUT DROP",
			"ufw is active; to let the pods' packets through, run: ufw allow 8472/udp && ufw allow from 10.5.0.0/16 && ufw route allow from 10.5.0.0/16 && ufw route allow to 10.5.0.0/16 && ufw allow from fd00:5::/48 && ufw route allow from fd00:5::/48 && ufw route allow to fd00:5::/48"},
		"one family": {"nft add table ip6 site; nft add chain ip6 site transit '{ type filter hook forward priority 0; policy drop; }'",
			"chain ip6 site transit drops what no rule of it accepts; to let the pods' packets through, run: nft insert rule ip6 site transit ip6 saddr fd00:5::/48 accept && nft insert rule ip6 site transit ip6 daddr fd00:5::/48 accept"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, "node")
			n.sh(c.script)
			n.apply(dual)
			g := n.generation()
			n.apply(dual)
			equal(t, "advice", strings.Join(n.Advice(), "\n"), c.want)
			if n.generation() != g {
				t.Error("the rule set was changed")
			}
			for _, a := range n.Advice() { // the nft commands are ones that nft understands
				if _, commands, _ := strings.Cut(a, "run: "); strings.HasPrefix(commands, "nft") {
					n.sh(commands)
				}
			}
		})
	}
}
