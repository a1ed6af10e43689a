package flannel

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// A node is behind a NAT. An operator gives its public address in flannel's annotations public-ip-overwrite and
// public-ipv6-overwrite. flannel nodes notice a change of one family alone on a podlane node, but not on a flannel node.
func (b *kubeBed) publicAddresses(t *testing.T) {
	for _, f := range b.families {
		b.overwrite(t, b.podlane[0], f)
	}
	b.overwrite(t, b.flannel[0].Node, b.families...)
}

// overwrite gives a node a public address in these families, and then its own ones again.
func (b *kubeBed) overwrite(t *testing.T, n *lab.Node, families ...int) {
	t.Helper()
	keys := [2]string{ipv4: b.prefix + "public-ip", ipv6: b.prefix + "public-ipv6"}
	own := [2]netip.Addr{ipv4: n.Addr, ipv6: n.Addr6}
	public := [2]netip.Addr{
		ipv4: netip.AddrFrom4([4]byte{198, 18, 2, byte(n.Index)}),
		ipv6: netip.MustParseAddr(fmt.Sprintf("fd98:18::2:%d", n.Index)),
	}
	for _, f := range families {
		b.translate(t, n, own[f], public[f])
		b.api.annotate(t, n.Name, keys[f]+"-overwrite", public[f].String())
	}
	b.restartFlannelOn(t, n)
	for _, f := range families {
		b.awaitPublicAddress(t, n, keys[f], public[f])
	}
	expectFlat(t, b.Nodes, b.all())

	for _, f := range families {
		b.api.annotate(t, n.Name, keys[f]+"-overwrite", "")
	}
	cluster.RunInSandbox(t, "nft delete table bridge nat")
	b.restartFlannelOn(t, n)
	for _, f := range families {
		b.awaitPublicAddress(t, n, keys[f], own[f])
	}
	expectFlat(t, b.Nodes, b.all())
}

// restartFlannelOn restarts flanneld on a flannel node. It reads the annotation when it starts. podlane uses it at once.
func (b *kubeBed) restartFlannelOn(t *testing.T, n *lab.Node) {
	t.Helper()
	for _, f := range b.flannel {
		if f.Node == n {
			f.daemon.stop(t, syscall.SIGTERM)
			f.start(t)
		}
	}
}

// translate makes a NAT between a node and the underlay: the other nodes see its VXLAN packets with its public address. The table
// is bridge nat.
func (b *kubeBed) translate(t *testing.T, n *lab.Node, own, public netip.Addr) {
	t.Helper()
	ip := "ip"
	if own.Is6() {
		ip = "ip6"
	}
	for _, command := range []string{
		"nft add table bridge nat",
		"nft add chain bridge nat in { type filter hook prerouting priority -300 ; }",
		"nft add chain bridge nat out { type filter hook postrouting priority 300 ; }",
		fmt.Sprintf("nft add rule bridge nat in iifname %s %s saddr %s udp dport 8472 %s saddr set %s", n.Name, ip, own, ip, public),
		fmt.Sprintf("nft add rule bridge nat out oifname %s %s daddr %s udp dport 8472 %s daddr set %s", n.Name, ip, public, ip, own),
	} {
		cluster.RunInSandbox(t, command)
	}
	for _, other := range b.Nodes {
		if other != n {
			cluster.Run(t, other.Place, fmt.Sprintf("ip neighbour replace %s lladdr 02:00:00:00:00:%02x dev eth0 nud permanent", public, n.Index))
		}
	}
}

// awaitPublicAddress waits until a Node announces an address, and the other nodes send to it.
func (b *kubeBed) awaitPublicAddress(t *testing.T, n *lab.Node, key string, want netip.Addr) {
	t.Helper()
	cluster.Until(t, soon, n.Name+" announces "+want.String(), func() (bool, string) {
		got := b.api.node(t, n.Name).Annotations[key]
		return got == want.String(), got
	})
	for _, other := range b.Nodes {
		if other == n {
			continue
		}
		cluster.Until(t, soon, fmt.Sprintf("%s sends to %s", other.Name, want), func() (bool, string) {
			fdb := cluster.RunScript(t, other.Place, "for d in $(ip -o link show type vxlan | sed 's/^[0-9]*: \\([^:@]*\\).*/\\1/'); do bridge fdb show dev $d; done")
			return strings.Contains(fdb, "dst "+want.String()+" "), fdb
		})
	}
}
