package firewall

import (
	"fmt"
	"strings"
	"testing"
)

// The accept rules are inserted directly before the rule that drops everything, and nowhere else. @ is the program.
var insertPoints = map[string]struct{ script, want string }{
	"RHEL's": {"@ -A FORWARD -j REJECT --reject-with icmp-host-prohibited", `-P FORWARD ACCEPT
-A FORWARD -d 10.5.0.0/16 -m comment --comment podlane -j ACCEPT
-A FORWARD -s 10.5.0.0/16 -m comment --comment podlane -j ACCEPT
-A FORWARD -j REJECT --reject-with icmp-host-prohibited`},
	"an operator's earlier drop of one pod": {"@ -A FORWARD -s 10.5.34.7/32 -j DROP; @ -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT; @ -A FORWARD -m comment --comment last -j DROP; @ -A FORWARD -i lo -j ACCEPT", `-P FORWARD ACCEPT
-A FORWARD -s 10.5.34.7/32 -j DROP
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -s 10.5.0.0/16 -m comment --comment podlane -j ACCEPT
-A FORWARD -d 10.5.0.0/16 -m comment --comment podlane -j ACCEPT
-A FORWARD -m comment --comment last -j DROP
-A FORWARD -i lo -j ACCEPT`},
	"through two chains": {"@ -N LOGDROP; @ -A LOGDROP -m limit --limit 5/min -j LOG; @ -A LOGDROP -j DROP; @ -N FW; @ -A FW -p icmp -j ACCEPT; @ -A FW -i eth7 -j RETURN; @ -A FW -g LOGDROP; @ -A FORWARD -i lo -j ACCEPT; @ -A FORWARD -j FW", `-P FORWARD ACCEPT
-A FORWARD -i lo -j ACCEPT
-A FORWARD -s 10.5.0.0/16 -m comment --comment podlane -j ACCEPT
-A FORWARD -d 10.5.0.0/16 -m comment --comment podlane -j ACCEPT
-A FORWARD -j FW`},
	"by goto": {"@ -N FW; @ -A FW -p tcp -j ACCEPT; @ -A FW -j REJECT; @ -A FORWARD -g FW", `-P FORWARD ACCEPT
-A FORWARD -d 10.5.0.0/16 -m comment --comment podlane -j ACCEPT
-A FORWARD -s 10.5.0.0/16 -m comment --comment podlane -j ACCEPT
-A FORWARD -g FW`},
	"a chain that returns": {"@ -N FW; @ -A FW -p tcp -j ACCEPT; @ -A FW -j RETURN; @ -A FW -j DROP; @ -A FORWARD -j FW", `-P FORWARD ACCEPT
-A FORWARD -j FW`},
	"a chain that returns pods": {"@ -N FW; @ -A FW -s 10.0.0.0/8 -j RETURN; @ -A FW -d 10.0.0.0/8 -j RETURN; @ -A FW -j DROP; @ -A FORWARD -j FW", `-P FORWARD ACCEPT
-A FORWARD -j FW`},
	"an accept of everything": {"@ -A FORWARD -j ACCEPT; @ -A FORWARD -j DROP", `-P FORWARD ACCEPT
-A FORWARD -j ACCEPT
-A FORWARD -j DROP`},
	"a drop of one pod alone": {"@ -A FORWARD -s 10.5.34.7/32 -j DROP", `-P FORWARD ACCEPT
-A FORWARD -s 10.5.34.7/32 -j DROP`},
	"policy DROP too": {"@ -P FORWARD DROP; @ -A FORWARD -i lo -j ACCEPT; @ -A FORWARD -j REJECT", `-P FORWARD DROP
-A FORWARD -i lo -j ACCEPT
-A FORWARD -s 10.5.0.0/16 -m comment --comment podlane -j ACCEPT
-A FORWARD -d 10.5.0.0/16 -m comment --comment podlane -j ACCEPT
-A FORWARD -j REJECT --reject-with icmp-port-unreachable`},
	"policy DROP and one pod": {"@ -P FORWARD DROP; @ -A FORWARD -s 10.5.34.7/32 -j DROP; @ -A FORWARD -i lo -j ACCEPT", `-P FORWARD DROP
-A FORWARD -s 10.5.34.7/32 -j DROP
-A FORWARD -s 10.5.0.0/16 -m comment --comment podlane -j ACCEPT
-A FORWARD -d 10.5.0.0/16 -m comment --comment podlane -j ACCEPT
-A FORWARD -i lo -j ACCEPT`},
	"policy DROP and one pod, last": {"@ -P FORWARD DROP; @ -A FORWARD -d 10.5.34.7/32 -j DROP", `-P FORWARD DROP
-A FORWARD -d 10.5.34.7/32 -j DROP
-A FORWARD -s 10.5.0.0/16 -m comment --comment podlane -j ACCEPT
-A FORWARD -d 10.5.0.0/16 -m comment --comment podlane -j ACCEPT`},
	"policy DROP after a return": {"@ -P FORWARD DROP; @ -A FORWARD -i lo -j ACCEPT; @ -A FORWARD -j RETURN", `-P FORWARD DROP
-A FORWARD -i lo -j ACCEPT
-A FORWARD -s 10.5.0.0/16 -m comment --comment podlane -j ACCEPT
-A FORWARD -d 10.5.0.0/16 -m comment --comment podlane -j ACCEPT
-A FORWARD -j RETURN`},
	"on top, from an earlier policy DROP": {"@ -A FORWARD -d 10.5.0.0/16 -m comment --comment podlane -j ACCEPT; @ -A FORWARD -s 10.5.0.0/16 -m comment --comment podlane -j ACCEPT; @ -A FORWARD -i lo -j ACCEPT; @ -A FORWARD -j REJECT", `-P FORWARD ACCEPT
-A FORWARD -d 10.5.0.0/16 -m comment --comment podlane -j ACCEPT
-A FORWARD -s 10.5.0.0/16 -m comment --comment podlane -j ACCEPT
-A FORWARD -i lo -j ACCEPT
-A FORWARD -j REJECT --reject-with icmp-port-unreachable`},
	"after the drop": {"@ -A FORWARD -i lo -j ACCEPT; @ -A FORWARD -j DROP; @ -A FORWARD -s 10.5.0.0/16 -m comment --comment podlane -j ACCEPT; @ -A FORWARD -d 10.5.0.0/16 -m comment --comment podlane -j ACCEPT", `-P FORWARD ACCEPT
-A FORWARD -i lo -j ACCEPT
-A FORWARD -s 10.5.0.0/16 -m comment --comment podlane -j ACCEPT
-A FORWARD -d 10.5.0.0/16 -m comment --comment podlane -j ACCEPT
-A FORWARD -j DROP`},
	"one of them after the drop": {"@ -A FORWARD -d 10.5.0.0/16 -m comment --comment podlane -j ACCEPT; @ -A FORWARD -j DROP; @ -A FORWARD -s 10.5.0.0/16 -m comment --comment podlane -j ACCEPT", `-P FORWARD ACCEPT
-A FORWARD -d 10.5.0.0/16 -m comment --comment podlane -j ACCEPT
-A FORWARD -s 10.5.0.0/16 -m comment --comment podlane -j ACCEPT
-A FORWARD -j DROP`},
	"of another network, before the drop": {"@ -A FORWARD -s 10.9.0.0/16 -m comment --comment podlane -j ACCEPT; @ -A FORWARD -i lo -j ACCEPT; @ -A FORWARD -j DROP", `-P FORWARD ACCEPT
-A FORWARD -i lo -j ACCEPT
-A FORWARD -s 10.5.0.0/16 -m comment --comment podlane -j ACCEPT
-A FORWARD -d 10.5.0.0/16 -m comment --comment podlane -j ACCEPT
-A FORWARD -j DROP`},
}

func TestAcceptRulesGoBeforeTheDrop(t *testing.T) {
	for _, program := range []string{"iptables-nft", "iptables-legacy"} {
		for name, c := range insertPoints {
			t.Run(program+" "+name, func(t *testing.T) {
				n := newNode(t, "node")
				n.sh(links + strings.ReplaceAll(c.script, "@ ", program+" "))
				n.apply(attached)
				equal(t, "FORWARD", n.sh(program+" -S FORWARD"), c.want)
				n.quiet(attached)
				n.sh(fmt.Sprintf("%s-save > /run/saved; %[1]s-restore < /run/saved", program))
				n.quiet(attached)
				n.cleanup()
				if got := n.sh(program + " -S FORWARD"); strings.Contains(got, "podlane") {
					t.Errorf("after cleanup FORWARD still has rules of podlane:\n%s", got)
				}
			})
		}
	}
}

// Docker's and kube-proxy's chains do not end in a drop.
func TestChainsWithoutADropGetNoAcceptRules(t *testing.T) {
	for _, program := range []string{"iptables-nft", "iptables-legacy"} {
		for name, script := range map[string]string{
			"Docker":     strings.ReplaceAll(docker(program), "-P FORWARD DROP", "-P FORWARD ACCEPT"),
			"kube-proxy": kubeProxy(program),
		} {
			t.Run(program+" "+name, func(t *testing.T) {
				n := newNode(t, "node")
				n.sh(links + script)
				before := n.sh(program + " -S")
				n.apply(attached)
				equal(t, "rules", n.sh(program+" -S"), before)
			})
		}
	}
}

// The accept rules are restored if the rule set is loaded again without them, or gets its drop later.
func TestAcceptRulesAreRestored(t *testing.T) {
	for _, program := range []string{"iptables-nft", "iptables-legacy"} {
		t.Run(program, func(t *testing.T) {
			n := newNode(t, "node")
			n.sh(links + program + " -A FORWARD -i lo -j ACCEPT")
			n.apply(attached)
			n.sh(program + " -A FORWARD -j REJECT; " + program + "-save > /run/saved")
			n.apply(attached)
			n.sh(program + "-restore < /run/saved")
			for _, op := range n.apply(attached) {
				if !op.Drift {
					t.Errorf("%s: not reported as drift", op)
				}
			}
			equal(t, "FORWARD", n.sh(program+" -S FORWARD"), `-P FORWARD ACCEPT
-A FORWARD -i lo -j ACCEPT
-A FORWARD -s 10.5.0.0/16 -m comment --comment podlane -j ACCEPT
-A FORWARD -d 10.5.0.0/16 -m comment --comment podlane -j ACCEPT
-A FORWARD -j REJECT --reject-with icmp-port-unreachable`)
		})
	}
}
