package faults

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// Another firewall changes its rules, on every node at the same time.
var firewallFaults = []fault{
	{"firewall reloaded", func(t *testing.T, b *bed) {
		traffic := b.flood(t)
		b.everywhere(t, "nft flush ruleset")
		b.expectRecovered(t)
		traffic.ExpectNothingLost(t)
	}},
	{"iptables' FORWARD set to DROP", func(t *testing.T, b *bed) {
		b.expectTalk(t, "iptables -P FORWARD DROP", "ip6tables -P FORWARD DROP")
		b.expectTalk(t, "iptables -F FORWARD", "ip6tables -F FORWARD")
		b.expectTalk(t, "nft flush ruleset")
	}},
	{"iptables' FORWARD ends in a REJECT of everything", func(t *testing.T, b *bed) {
		b.expectTalk(t, "iptables -A FORWARD -i lo -j ACCEPT", "iptables -A FORWARD -j REJECT --reject-with icmp-host-prohibited", "ip6tables -A FORWARD -j REJECT")
		b.expectTalk(t, "for _ in $(iptables -S FORWARD | grep podlane | cut -c1-2); do iptables -D FORWARD 2; done") // as many as there are
		b.expectTalk(t, "iptables -F FORWARD", "iptables -N LAST", "iptables -A LAST -p 89 -j RETURN", "iptables -A LAST -j DROP", "iptables -A FORWARD -j LAST")
		b.expectTalk(t, "nft flush ruleset")
	}},
	{"Docker starts", func(t *testing.T, b *bed) {
		b.expectTalk(t, "iptables -N DOCKER-USER", "iptables -A DOCKER-USER -j RETURN", "iptables -I FORWARD -j DOCKER-USER",
			"iptables -P FORWARD DROP", "iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE")
		b.expectTalk(t, "nft flush ruleset")
	}},
}

func TestFirewall(t *testing.T) { runFaultsAround(t, firewallFaults) }

func (b *bed) everywhere(t *testing.T, commands ...string) {
	t.Helper()
	for _, n := range b.Nodes {
		for _, c := range commands {
			cluster.RunScript(t, n.Place, c)
		}
	}
}

// expectTalk runs commands on every node. Pods must talk again within a second. So must those of one node, because
// iptables filters a bridge's packets.
func (b *bed) expectTalk(t *testing.T, commands ...string) {
	t.Helper()
	traffic := b.flood(t)
	b.everywhere(t, commands...)
	t.Logf("after %q the pods talk within %v", commands, traffic.ExpectFlow(t, second).Round(time.Millisecond))
	traffic.ExpectGap(t, second)
}

// iptables-legacy changes rules without a notification by the kernel.
func TestFirewallChangesWithoutNotification(t *testing.T) {
	b := &bed{Lab: cluster.Start(t, lab.Options{
		Nodes: 2, IPv6: true, Config: cluster.DualStack, NodeCaps: func(int) []string { return []string{"net_raw"} },
	}, 2)}
	cluster.AwaitPeers(t, b.Lab, soon, 1)
	b.everywhere(t, "iptables-legacy -L", "ip6tables-legacy -L")
	b.expectTalk(t, "iptables-legacy -P FORWARD DROP", "ip6tables-legacy -P FORWARD DROP")
	b.expectTalk(t, "iptables-legacy -F FORWARD", "ip6tables-legacy -F FORWARD")
	b.everywhere(t, "iptables-legacy -P FORWARD ACCEPT", "iptables-legacy -F FORWARD", "ip6tables-legacy -P FORWARD ACCEPT", "ip6tables-legacy -F FORWARD")
	b.expectTalk(t, "iptables-legacy -A FORWARD -j REJECT", "ip6tables-legacy -A FORWARD -j DROP")
	b.expectProblem(t, otherFirewall{"iptables-legacy -A INPUT -p udp --dport 8472 -j REJECT", "iptables-legacy's chain INPUT drops VXLAN from 198.18.1.2"})
}

// otherFirewall is a rule of another program, and the problem that it causes.
type otherFirewall struct{ commands, problem string }

var otherFirewalls = []otherFirewall{
	{"nft add table inet site; nft add chain inet site f '{ type filter hook forward priority 0; policy drop; }'", "chain inet site f drops packets from pods to other nodes, packets from other nodes to pods (its policy)"},
	{"nft add table inet site; nft add chain inet site f '{ type filter hook forward priority 0; }'; nft add chain inet site g; nft add rule inet site g drop; nft add rule inet site f goto g", "chain inet site f drops packets from pods"},
	{"nft add table bridge site; nft add chain bridge site f '{ type filter hook input priority 0; policy drop; }'", "chain bridge site f drops pods' IPv4 packets on cni0"},
	{"iptables -A INPUT -p udp --dport 8472 -j REJECT", "chain ip filter INPUT drops VXLAN from 198.18.1.2"},
	{"iptables -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT; iptables -A INPUT -p tcp -j ACCEPT; iptables -A INPUT -i lo -j ACCEPT; iptables -A INPUT -p udp --dport 8472 -m conntrack --ctstate NEW -j ACCEPT; iptables -A INPUT -j REJECT", "must have NEW,UNTRACKED"},
}

// A rule of another program certainly drops packets. The problem's commands fix it.
func TestOtherFirewalls(t *testing.T) {
	b := &bed{Lab: cluster.Start(t, lab.Options{Nodes: 2, NodeEnv: func(int) []string { return []string{"PODLANE_RESYNC=1s"} }}, 1)}
	cluster.AwaitPeers(t, b.Lab, soon, 1)
	b.expectWrongInterface(t)
	for _, o := range otherFirewalls {
		b.expectProblem(t, o)
		cluster.RunScript(t, b.Nodes[0].Place, "nft delete table inet site 2>/dev/null || true; nft delete table bridge site 2>/dev/null || true; iptables -F INPUT; true")
	}
	cluster.RunScript(t, b.Nodes[0].Place, "nft add table inet site; nft add chain inet site i '{ type filter hook input priority 0; }'; nft add rule inet site i udp dport 8472 limit rate over 90000/second drop")
	cluster.AwaitStatus(t, b.Nodes[0], soon, "a note and no problem", func(s cluster.Status) bool {
		return len(s.Problems) == 0 && strings.Contains(strings.Join(s.Notes, "\n"), "cannot tell whether chain inet site i drops VXLAN from 198.18.1.2")
	})
}

// expectWrongInterface routes the packets to a peer by another interface for a while. The peer's VXLAN is then dropped.
func (b *bed) expectWrongInterface(t *testing.T) {
	t.Helper()
	n, pods := b.Nodes[0], b.Pods()
	cluster.RunScript(t, n.Place, "ip link add second type bridge; ip link set second up; ip route add 198.18.1.2/32 dev second")
	cluster.Until(t, soon, n.Name+" names the peer and the interface", func() (bool, string) {
		_, _ = pods[1].Run(cluster.Within(t), "ping", "-n", "-q", "-c1", "-W0.2", pods[0].Addrs[0].String())
		s, err := cluster.StatusOf(cluster.Within(t), n)
		return err == nil && strings.Contains(strings.Join(s.Notes, "\n"), "VXLAN from peer 198.18.1.2 arrives on eth0, but this node answers that peer on another interface"), fmt.Sprint(s.Notes, err)
	})
	cluster.RunScript(t, n.Place, "ip link delete second")
}

// expectProblem adds rules that cut the first node off. The problem's commands must repair that.
func (b *bed) expectProblem(t *testing.T, o otherFirewall) {
	t.Helper()
	n, pods := b.Nodes[0], b.Pods()
	from, to := pods[0], pods[len(pods)-1]
	talk := func() (bool, string) {
		out, err := from.Run(cluster.Within(t), "ping", "-n", "-q", "-c1", "-W0.2", to.Addrs[0].String())
		return err == nil, out
	}
	cluster.RunScript(t, n.Place, o.commands)
	if yes, _ := talk(); yes {
		t.Errorf("%s: the pods still talk", o.commands)
	}
	_, commands, _ := strings.Cut(awaitProblem(t, n, o.problem), "run: ")
	cluster.RunScript(t, n.Place, commands)
	cluster.Until(t, soon, "the pods talk after "+commands, talk)
	cluster.AwaitStatus(t, n, soon, "no problem is left", func(s cluster.Status) bool { return len(s.Problems) == 0 })
}
