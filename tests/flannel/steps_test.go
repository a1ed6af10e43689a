package flannel

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// The steps that do not depend on the place of the leases.

func (b *bed) everyPod(t *testing.T) { expectFlat(t, b.Nodes, b.all()) }

// podlaned ends by SIGTERM and by SIGKILL. Nothing is lost, between nodes of any kind.
func (b *bed) podlanedRestarts(t *testing.T) {
	flood, n := startFlood(t, b.firsts()...), b.podlane[0]
	cluster.Check(t, n.Restart(cluster.Within(t)))
	cluster.Kill(t, n)
	cluster.Check(t, n.Start(cluster.Within(t)))
	b.awaitPeers(t, 3)
	flood.ExpectNothingLost(t)
}

func (b *bed) flanneldRestarts(t *testing.T) {
	flood, n := startFlood(t, b.firsts()...), b.flannel[0]
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		n.daemon.stop(t, signal)
		n.start(t)
	}
	b.awaitPeers(t, 3)
	flood.ExpectNothingLost(t)
}

// flannel's own words for its device of each family.
const deleteDevices = "for d in flannel.1 flannel-v6.1; do ! ip link show $d >/dev/null 2>&1 || ip link delete $d; done"

// The device of a flannel node was deleted, as by a reboot. flannel makes another one, in etcd mode with another MAC address.
func (b *bed) deviceDeleted(t *testing.T) {
	n := b.flannel[0]
	others, cut := startFlood(t, b.firsts("n1", "n2", "n4")...), streams(t, b.firsts("n1")[0], b.firsts(n.Name)[0])
	before := vteps(t, n.Node, "flannel")
	n.daemon.stop(t, syscall.SIGTERM)
	cluster.RunScript(t, n.Place, deleteDevices)
	n.start(t)
	t.Logf("the MAC addresses of flannel's devices were %s, and are %s", before, vteps(t, n.Node, "flannel"))
	t.Logf("podlane's pods reach the node again %v after flanneld was ready", cut.ExpectFlow(t, 5*time.Second).Round(time.Millisecond))
	b.awaitPeers(t, 3)
	if r := cut.End(t); r.Broken > 0 || r.Duplicated > 0 {
		t.Errorf("broken connections to the node or duplicated datagrams: %s", r)
	}
	others.ExpectNothingLost(t)
	expectFlat(t, b.Nodes, b.all())
}

// removeFlannel removes from a node what flanneld leaves there. docs/flannel.md has the same commands.
const removeFlannel = `
ip link delete flannel.1
ip link delete flannel-v6.1
ip link delete cni0
for iptables in iptables ip6tables; do
	$iptables -D FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
	$iptables -F FLANNEL-FWD; $iptables -X FLANNEL-FWD
	$iptables -t nat -D POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
	$iptables -t nat -F FLANNEL-POSTRTG; $iptables -t nat -X FLANNEL-POSTRTG
done
nft delete table ip flannel-ipv4
nft delete table ip6 flannel-ipv6
rm -rf /etc/cni/net.d/10-flannel.conflist /run/flannel
`

// nodeKind is how a node becomes a podlane node, and how it ends that.
type nodeKind struct{ start, stop func(*testing.T, *lab.Node) }

// A flannel node becomes a podlane node and a flannel node again, as docs/flannel.md describes. It keeps its pod subnet. The pods
// of the other nodes lose nothing.
func (b *bed) flannelNodeChanges(t *testing.T, podlane nodeKind) {
	n := b.flannel[1]
	flood, key, macs := startFlood(t, b.firsts("n1", "n2", "n3")...), n.key(t), vteps(t, n.Node, "flannel")
	b.deletePods(t, n.Node)
	n.daemon.stop(t, syscall.SIGTERM)
	script := strings.NewReplacer("/etc/cni/net.d", n.file("net.d"), "/run/flannel", filepath.Dir(n.subnetFile())).Replace(removeFlannel)
	cluster.RunScript(t, n.Place, "set +e"+script+":")
	if left := cluster.RunScript(t, n.Place, "iptables-save; ip6tables-save; nft list tables; ip -o link"); strings.Contains(strings.ToLower(left), "flannel") {
		t.Errorf("flannel's objects are still on the node:\n%s", left)
	}
	podlane.start(t, n.Node)
	b.awaitPeers(t, 3)
	if got := cluster.SubnetText(t, n.Node); got != key {
		t.Errorf("the podlane node has %s, want %s as before", got, key)
	}
	if got := vteps(t, n.Node, "podlane"); !slices.Equal(got, macs) {
		t.Errorf("podlane's devices have the MAC addresses %s, want %s as flannel's before", got, macs)
	}
	b.addPodlanePods(t, n.Node)
	cluster.AwaitBridges(t, n.Node)
	expectFlat(t, b.Nodes, b.all())

	b.deletePods(t, n.Node)
	podlane.stop(t, n.Node)
	cluster.Run(t, n.Place, "podlaned cleanup")
	cluster.Run(t, n.Place, "ip link delete cni0")
	n.start(t)
	b.awaitPeers(t, 3)
	if got := n.key(t); got != key {
		t.Errorf("the flannel node has %s again, want %s", got, key)
	}
	b.addFlannelPods(t, n)
	expectFlat(t, b.Nodes, b.all())
	flood.ExpectNothingLost(t)
}

// flannel's device remains on a node. podlaned does not start there, and names it.
func (b *bed) deviceRemains(t *testing.T, podlane nodeKind) {
	n := b.flannel[1]
	n.daemon.stop(t, syscall.SIGTERM)
	podlane.start(t, n.Node)
	cluster.ExpectExit(t, n.Node, 1, "taken by the vxlan device flannel")
	podlane.stop(t, n.Node)
	cluster.Run(t, n.Place, "podlaned cleanup")
	n.start(t)
	b.awaitPeers(t, 3)
	expectFlat(t, b.Nodes, b.all())
}

// The documentation has the commands that the test has run.
func TestDocumentedCommands(t *testing.T) {
	text, err := os.ReadFile("../../docs/flannel.md")
	cluster.Check(t, err)
	if !strings.Contains(string(text), "```"+removeFlannel+"```") {
		t.Errorf("docs/flannel.md lacks these commands:%s", removeFlannel)
	}
}
