package kubestore

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// Nodes are deleted and changed while the cluster runs.
var nodeFaults = []fault{
	{"a Node is deleted and made again", func(t *testing.T, b *bed) {
		gone := b.Nodes[2]
		others := cluster.StartFlood(t, b.pairs(b.Nodes[:2]...)...)
		own := cluster.StartFlood(t, b.pairs(gone)...)
		kernel := cluster.WatchKernel(t, gone.Place)
		if !b.API.DeleteNode(gone.Name) {
			t.Fatal("there was no Node")
		}
		for _, n := range b.Nodes[:2] {
			for _, p := range halves(t, gone) {
				took := cluster.Until(t, time.Second, n.Name+" has no route to "+p.String(), func() (bool, string) {
					routes := routesTo(t, n, p)
					return routes == "", routes
				})
				t.Logf("%s: the route to %s is gone after %s", n.Name, p, took)
			}
			cluster.AwaitStatus(t, n, soon, "one peer, ready", func(s cluster.Status) bool { return s.Ready && len(s.Peers) == 1 && len(s.Problems) == 0 })
		}
		expectProblem(t, gone, soon, "the Node n3 was deleted or renamed")
		kernel.ExpectNothing(t)
		b.API.SetNode(gone.Name, b.PodCIDRs(gone.Index)...)
		cluster.AwaitPeers(t, b.Lab, soon, 2)
		kernel.ExpectNothing(t)
		others.ExpectNothingLost(t)
		own.ExpectNothingLost(t)
	}},
	// The podCIDR of a Node cannot be changed. A controller chooses another one for a Node that is registered again.
	{"a Node is made again with another podCIDR", func(t *testing.T, b *bed) {
		n := b.Nodes[2]
		others := cluster.StartFlood(t, b.pairs(b.Nodes[:2]...)...)
		interrupted := cluster.StartFlood(t, [2]*lab.Pod{cluster.PodsOf(b.Lab, b.Nodes[0])[0], cluster.PodsOf(b.Lab, n)[0]})
		b.API.DeleteNode(n.Name)
		b.API.SetNode(n.Name)
		expectProblem(t, n, soon, "n3 has no podCIDR", "--allocate-node-cidrs", "--pod-network-cidr")
		b.API.SetNode(n.Name, "10.5.77.0/24", "fd00:5:0:77::/64")
		expectProblem(t, n, soon, "10.5.77.0/24", "10.5.3.0/24", "drain")
		interrupted.ExpectFlow(t, soon) // its pods keep working
		b.API.DeleteNode(n.Name)
		b.API.SetNode(n.Name, b.PodCIDRs(n.Index)...)
		cluster.AwaitStatus(t, n, soon, "no problem", func(s cluster.Status) bool { return s.Ready && len(s.Problems) == 0 })
		interrupted.ExpectGap(t, soon)
		others.ExpectNothingLost(t)
	}},
	{"another Node announces our podCIDR", func(t *testing.T, b *bed) {
		traffic := b.flood(t)
		b.announceForeign("n9", "10.5.1.0/24")
		expectProblem(t, b.Nodes[0], soon, "n9", "10.5.1.0/24")
		b.expectPeersWithRoutes(t, b.Nodes[1:], b.Nodes[0])
		b.API.DeleteNode("n9")
		traffic.ExpectNothingLost(t)
	}},
	{"faulty annotations of other Nodes", func(t *testing.T, b *bed) {
		traffic := b.flood(t)
		for name, row := range map[string]struct {
			podCIDR string
			changes []string
			nodes   int // that report it: the first ones
			want    string
		}{
			"another backend": {"10.5.9.0/24", []string{flannel + "backend-type", "host-gw"}, 3, "host-gw"},
			"a bad MAC":       {"10.5.9.0/24", []string{flannel + "backend-data", `{"VNI":1,"VtepMAC":"ba:11"}`}, 3, "VtepMAC"},
			"no JSON":         {"10.5.9.0/24", []string{flannel + "backend-data", `{"VNI"`}, 3, "backend-data"},
			"a bad address":   {"10.5.9.0/24", []string{flannel + "public-ip", "1.2.3"}, 3, "public-ip"},
			"another network": {"10.99.9.0/24", nil, 3, "10.99.9.0/24"},
			"our address":     {"10.5.9.0/24", []string{flannel + "public-ip", b.Nodes[0].Addr.String()}, 1, b.Nodes[0].Addr.String()},
			"no podCIDR":      {"", nil, 3, "podCIDR"},
		} {
			b.announceForeign("n9", row.podCIDR, row.changes...)
			if row.podCIDR == "" {
				b.API.SetNode("n9")
			}
			for _, n := range b.Nodes[:row.nodes] {
				cluster.Until(t, soon, fmt.Sprintf("%s: %s: the reason", n.Name, name), func() (bool, string) {
					s, err := cluster.StatusOf(cluster.Within(t), n)
					text := fmt.Sprintf("%+v", s)
					return err == nil && s.Ready && strings.Contains(normal(reasons(s)), normal(row.want)), text
				})
			}
			s, err := cluster.StatusOf(cluster.Within(t), b.Nodes[0])
			cluster.Check(t, err)
			t.Logf("%s: %s", name, reasons(s))
			b.API.DeleteNode("n9")
			cluster.AwaitPeers(t, b.Lab, soon, 2)
		}
		traffic.ExpectNothingLost(t)
	}},
	{"another program removes our annotations", func(t *testing.T, b *bed) {
		others := cluster.StartFlood(t, b.pairs(b.Nodes[:2]...)...)
		n := b.Nodes[2]
		node, _ := b.API.Node(n.Name)
		want := node.Annotations
		for _, change := range [][]string{{flannel + "backend-data", ""}, {flannel + "kube-subnet-manager", ""}, {flannel + "public-ip", "198.18.7.7"}, {flannel + "backend-type", "host-gw"}} {
			b.API.Annotate(n.Name, change...)
			took := cluster.Until(t, 5*time.Second, "the annotation is restored", func() (bool, string) {
				node, _ := b.API.Node(n.Name)
				return fmt.Sprint(node.Annotations) == fmt.Sprint(want), fmt.Sprint(node.Annotations)
			})
			t.Logf("%s: restored after %s", change[0], took)
		}
		others.ExpectNothingLost(t)
	}},
}

func TestNodes(t *testing.T) { runFaults(t, nodeFaults) }

// normal makes the names of annotations and of keys in etcd equal: backend-data is BackendData.
func normal(text string) string { return strings.ToLower(strings.ReplaceAll(text, "-", "")) }

// reasons returns why peers and Nodes are not used.
func reasons(s cluster.Status) string {
	var all []string
	for _, p := range s.Peers {
		all = append(all, p.Reason)
	}
	for _, k := range s.Skipped {
		all = append(all, k.Key+": "+k.Reason)
	}
	return strings.Join(all, "\n")
}

// expectPeersWithRoutes expects that nodes have routes to the pod subnets that a node has had since the beginning.
func (b *bed) expectPeersWithRoutes(t *testing.T, nodes []*lab.Node, to *lab.Node) {
	t.Helper()
	for _, n := range nodes {
		for _, p := range halves(t, to) {
			if routesTo(t, n, p) == "" {
				t.Errorf("%s has no route to %s of %s", n.Name, p, to.Name)
			}
		}
	}
}
