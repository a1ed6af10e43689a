package intruders

import (
	"slices"
	"strings"
	"testing"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// Direct routing is switched on and off again. One node is restarted after the other. Meanwhile one node routes
// directly and the other does not, and pods lose nothing. After one more restart the nodes drop forged packets again.
func TestDirectRoutingIsSwitchedNodeByNode(t *testing.T) {
	l := cluster.Build(t, lab.Options{
		Nodes: 3, IPv6: true, NodeEnv: func(int) []string { return []string{"PODLANE_RESYNC=1s"} },
	})
	cluster.Check(t, l.SetConfig(cluster.Within(t), cluster.DualStack))
	b := &bed{Lab: l, nodes: [2]*lab.Node(l.Nodes), nonPeer: l.Nodes[2]}
	b.start(t)
	b.disableReversePathFilter(t)
	direct := strings.Replace(cluster.DualStack, `"vxlan"`, `"vxlan", "DirectRouting": true`, 1)
	for _, c := range []struct{ name, config string }{{"on", direct}, {"off", cluster.DualStack}} {
		t.Run(c.name, func(t *testing.T) {
			pods := cluster.StartFlood(t, [2]*lab.Pod{b.pods[0][0], b.pods[1][0]})
			cluster.Check(t, l.SetConfig(cluster.Within(t), c.config))
			for _, n := range b.nodes { // until then a node drops plain packets between pods
				cluster.AwaitStatus(t, n, soon, "a note that the configuration has changed", func(s cluster.Status) bool {
					return slices.ContainsFunc(s.Notes, func(record string) bool { return strings.Contains(record, "restart podlaned") })
				})
			}
			for _, n := range b.nodes {
				cluster.Check(t, n.Restart(cluster.Within(t)))
				pods.ExpectFlow(t, soon)
			}
			pods.ExpectNothingLost(t)
		})
	}
	for _, n := range b.nodes {
		cluster.Check(t, n.Restart(cluster.Within(t)))
	}
	for _, i := range b.forgedPlainPackets(t) {
		t.Run(i.name, i.expectDropped)
	}
}
