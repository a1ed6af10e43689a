package faults

import (
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// What other firewalls do, on every node at once.
var firewallFaults = []fault{
	{"firewall reloaded", func(t *testing.T, b *bed) {
		traffic := b.flood(t)
		b.everywhere(t, "nft flush ruleset")
		b.expectWell(t)
		traffic.ExpectNothingLost(t)
	}},
	{"iptables' FORWARD set to DROP", func(t *testing.T, b *bed) {
		b.expectTalk(t, "iptables -P FORWARD DROP", "ip6tables -P FORWARD DROP")
		b.expectTalk(t, "iptables -F FORWARD", "ip6tables -F FORWARD")
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
			cluster.Run(t, n.Place, c)
		}
	}
}

// expectTalk runs commands on every node, after which pods may not talk for a second: those of one node neither, where
// iptables sees what a bridge forwards.
func (b *bed) expectTalk(t *testing.T, commands ...string) {
	t.Helper()
	traffic := b.flood(t)
	b.everywhere(t, commands...)
	t.Logf("after %q the pods talk within %v", commands, traffic.ExpectFlow(t, second).Round(time.Millisecond))
	traffic.ExpectGap(t, second)
}

// iptables-legacy tells nobody what it changes.
func TestFirewallThatTellsNothing(t *testing.T) {
	b := &bed{Lab: cluster.Start(t, lab.Options{
		Nodes: 2, IPv6: true, Config: dualStack, NodeCaps: func(int) []string { return []string{"net_raw"} },
	}, 2)}
	cluster.AwaitPeers(t, b.Lab, soon, 1)
	b.everywhere(t, "iptables-legacy -L", "ip6tables-legacy -L")
	b.expectTalk(t, "iptables-legacy -P FORWARD DROP", "ip6tables-legacy -P FORWARD DROP")
	b.expectTalk(t, "iptables-legacy -F FORWARD", "ip6tables-legacy -F FORWARD")
}
