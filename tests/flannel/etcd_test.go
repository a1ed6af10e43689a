package flannel

import (
	"fmt"
	"strings"
	"testing"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// flannelPrefix is flannel's default prefix in etcd. The podlane nodes use it too.
const flannelPrefix = "/coreos.com/network"

// makeEtcdBed makes a cluster whose leases are in etcd. podlane nodes and flannel nodes start in turn.
func makeEtcdBed(t *testing.T, config string, ipv6 bool) *bed {
	t.Helper()
	b := newBed(t, lab.Options{IPv6: ipv6, Config: config, NodeEnv: func(int) []string {
		return []string{"PODLANE_ETCD_PREFIX=" + flannelPrefix}
	}})
	for _, n := range b.flannel {
		n.args = []string{"--etcd-endpoints=" + strings.Join(b.Etcd.Endpoints(), ","), "--etcd-prefix=" + flannelPrefix}
	}
	cluster.Check(t, b.SetConfig(cluster.Within(t), config))
	for i := range 2 {
		cluster.Check(t, b.podlane[i].Start(cluster.Within(t)))
		b.flannel[i].start(t)
	}
	b.awaitPeers(t, 3)
	b.addPods(t)
	return b
}

func TestEtcd(t *testing.T) {
	for _, network := range []struct {
		name, config string
		ipv6         bool
	}{
		{"IPv4", lab.DefaultConfig, false},
		{"two families, and flannel with nftables", strings.Replace(cluster.DualStack, "{", `{"EnableNFTables": true, `, 1), true},
	} {
		t.Run(network.name, func(t *testing.T) {
			b := makeEtcdBed(t, network.config, network.ipv6)
			runSteps(t,
				step{"every pod reaches every pod", b.everyPod},
				step{"podlaned restarts", b.podlanedRestarts},
				step{"flanneld restarts", b.flanneldRestarts},
				step{"a flannel node gets another VTEP", b.deviceDeleted},
				step{"flannel's device remains on a podlane node", func(t *testing.T) {
					launch := func(t *testing.T, n *lab.Node) { cluster.Check(t, n.Launch(cluster.Within(t))) }
					b.deviceRemains(t, nodeKind{launch, func(*testing.T, *lab.Node) {}})
				}},
				step{"a flannel node becomes a podlane node and a flannel node again", func(t *testing.T) {
					start := func(t *testing.T, n *lab.Node) { cluster.Check(t, n.Start(cluster.Within(t))) }
					b.flannelNodeChanges(t, nodeKind{start, cluster.Stop})
				}},
				step{"a flannel node leaves", b.flannelNodeLeaves},
				step{"a podlane node leaves", b.podlaneNodeLeaves},
			)
		})
	}
}

// A flannel node's lease is deleted. flanneld ends then. Both kinds of nodes forget it.
func (b *bed) flannelNodeLeaves(t *testing.T) {
	n := b.flannel[0]
	flood := startFlood(t, b.firsts("n1", "n2", "n4")...)
	cluster.Check(t, b.Etcd.Delete(cluster.Within(t), b.keyOf(t, n.Addr.String())))
	n.daemon.awaitEnd(t)
	b.awaitPeers(t, 2)
	flood.ExpectNothingLost(t)
	delete(b.pods, n.Name)
	expectFlat(t, []*lab.Node{b.Nodes[0], b.Nodes[1], b.Nodes[3]}, b.all())
}

// A podlane node leaves as docs/operations.md describes. Both kinds of nodes forget it.
func (b *bed) podlaneNodeLeaves(t *testing.T) {
	n := b.podlane[0]
	flood := startFlood(t, b.firsts("n2", "n4")...)
	key := b.keyOf(t, n.Addr.String())
	cluster.Stop(t, n)
	cluster.Run(t, n.Place, "podlaned cleanup")
	cluster.Check(t, b.Etcd.Delete(cluster.Within(t), key))
	b.awaitPeers(t, 1)
	flood.ExpectNothingLost(t)
}

// keyOf returns the key of the lease with a public address.
func (b *bed) keyOf(t *testing.T, public string) string {
	t.Helper()
	leases, err := b.Etcd.List(cluster.Within(t), flannelPrefix+"/subnets/")
	cluster.Check(t, err)
	for key, value := range leases {
		if strings.Contains(value, fmt.Sprintf(`"PublicIP":%q`, public)) {
			return key
		}
	}
	t.Fatalf("no lease of %s: %v", public, leases)
	return ""
}
