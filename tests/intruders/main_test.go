// Package intruders tests that only peers and local pods get packets into the overlay. Other hosts and pods send forged
// packets to nodes with the built podlaned. The tests count what arrives. They also test who can read podlaned's
// secrets and files.
package intruders

import (
	"net/netip"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/lab/sandbox"
	"github.com/podlane/podlane/tests/cluster"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// soon limits steps that have no promised time.
const soon = 20 * time.Second

// tunnelPort and tunnelVNI are the pod network's.
const (
	tunnelPort = 8472
	tunnelVNI  = 1
)

// family is an index into the addresses of nodes and pods. IPv4 comes first.
type family int

const (
	ipv4 family = iota
	ipv6
)

var families = [...]family{ipv4, ipv6}

func (f family) String() string { return [...]string{"IPv4", "IPv6"}[f] }

// bed is two nodes with two pods each. A third machine is on their underlay. podlaned never ran there, so it is no
// peer.
type bed struct {
	*lab.Lab
	nodes   [2]*lab.Node
	pods    [2][2]*lab.Pod
	nonPeer *lab.Node
}

// makeBed starts the two nodes. They read the kernel's counters every second.
func makeBed(t *testing.T) *bed {
	t.Helper()
	return makeBedOf(t, cluster.DualStack)
}

// makeBedOf is makeBed with another network configuration and more settings.
func makeBedOf(t *testing.T, config string, env ...string) *bed {
	t.Helper()
	l := cluster.Build(t, lab.Options{
		Nodes: 3, IPv6: true, NodeEnv: func(int) []string { return append(env, "PODLANE_RESYNC=1s") },
	})
	cluster.Check(t, l.SetConfig(cluster.Within(t), config))
	b := &bed{Lab: l, nodes: [2]*lab.Node(l.Nodes), nonPeer: l.Nodes[2]}
	b.start(t)
	return b
}

// start starts the two nodes and attaches their pods.
func (b *bed) start(t *testing.T) {
	t.Helper()
	for i, n := range b.nodes {
		cluster.Check(t, n.Start(cluster.Within(t)))
		for j, name := range [...]string{"a", "b"} {
			p, err := b.AddPod(cluster.Within(t), n, n.Name+name)
			cluster.Check(t, err)
			b.pods[i][j] = p
		}
	}
	cluster.AwaitPeers(t, b.Lab, soon, 1)
}

// addrs returns a machine's addresses by family.
func addrs(n *lab.Node) [2]netip.Addr {
	return [...]netip.Addr{ipv4: n.Addr, ipv6: n.Addr6}
}

func gateways(t *testing.T, n *lab.Node) (g [2]netip.Addr) {
	t.Helper()
	for f, a := range addrs(n) {
		g[f] = cluster.Gateway(t, n, a)
	}
	return g
}
