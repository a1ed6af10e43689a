package faults

import (
	"net/netip"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// Twenty nodes join two at the same moment, with IPv4 and with both families. Each gets pod subnets that overlap no
// other, and no podlaned exits. The pods of the two old nodes lose nothing.
func TestTwentyNodesJoinAtTheSameMoment(t *testing.T) {
	for _, c := range []struct{ name, config string }{
		{"IPv4", lab.DefaultConfig},
		{"dual-stack", cluster.DualStack},
	} {
		t.Run(c.name, func(t *testing.T) {
			const existing, joining = 2, 20
			l := cluster.Build(t, lab.Options{Nodes: existing + joining, IPv6: true, EtcdMembers: 3})
			cluster.Check(t, l.SetConfig(cluster.Within(t), c.config))
			b := &bed{Lab: l}
			b.start(t, l.Nodes[:existing])
			var pods [existing]*lab.Pod
			for i := range pods {
				var err error
				pods[i], err = l.AddPod(cluster.Within(t), l.Nodes[i], l.Nodes[i].Name+"p")
				cluster.Check(t, err)
			}
			cluster.AwaitPeers(t, l, soon, existing-1)
			traffic := cluster.StartFlood(t, pods)
			began := time.Now()
			b.start(t, l.Nodes[existing:])
			cluster.AwaitPeers(t, l, soon, existing+joining-1)
			t.Logf("all nodes have all peers after %v", time.Since(began).Round(time.Millisecond))
			for _, n := range l.Nodes {
				if !n.Running() {
					t.Errorf("podlaned on %s has exited", n.Name)
				}
			}
			expectDistinct(t, l.Nodes)
			traffic.ExpectNothingLost(t)
		})
	}
}

// expectDistinct expects that the nodes' pod subnets do not overlap in any family.
func expectDistinct(t *testing.T, nodes []*lab.Node) {
	t.Helper()
	owners := map[netip.Prefix]string{}
	for _, n := range nodes {
		pair, err := n.Subnet()
		cluster.Check(t, err)
		for _, half := range []netip.Prefix{pair.IPv4, pair.IPv6} {
			if !half.IsValid() {
				continue
			}
			for other, owner := range owners {
				if half.Overlaps(other) {
					t.Errorf("%s of %s overlaps %s of %s", half, n.Name, other, owner)
				}
			}
			owners[half] = n.Name
		}
	}
}
