package firewall

import (
	"strings"
	"testing"
)

func TestNotesOfFirewallManagers(t *testing.T) {
	for name, c := range map[string]struct{ script, want string }{
		"nothing":                             {"", ""},
		"Docker, for which there are accepts": {"iptables-nft -P FORWARD DROP", ""},
		"firewalld": {"nft add table inet firewalld",
			"firewalld is active; to let the pods' packets through, run: firewall-cmd --permanent --add-port=8472/udp && firewall-cmd --permanent --zone=trusted --add-source=10.5.0.0/16 && firewall-cmd --permanent --zone=trusted --add-source=fd00:5::/48 && firewall-cmd --reload"},
		"ufw": {"iptables-nft -N ufw-before-forward",
			"ufw is active; to let the pods' packets through, run: ufw allow 8472/udp && ufw allow from 10.5.0.0/16 && ufw route allow from 10.5.0.0/16 && ufw route allow to 10.5.0.0/16 && ufw allow from fd00:5::/48 && ufw route allow from fd00:5::/48 && ufw route allow to fd00:5::/48"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, "node")
			n.sh(c.script)
			n.apply(dual)
			g := n.generation()
			n.apply(dual)
			equal(t, "notes", strings.Join(n.Advice(), "\n"), c.want)
			if n.generation() != g {
				t.Error("a second Apply changed the rule set")
			}
		})
	}
}
