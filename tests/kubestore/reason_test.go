package kubestore

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// startOrders are the orders in which the two programs of a node start.
var startOrders = []struct {
	name  string
	start func(t *testing.T, n *lab.Node)
}{
	{"podlaned first", func(t *testing.T, n *lab.Node) {
		cluster.Check(t, n.Launch(cluster.Within(t)))
		cluster.Check(t, n.LaunchFeeder(cluster.Within(t)))
	}},
	{"podlane-kube first", func(t *testing.T, n *lab.Node) {
		cluster.Check(t, n.LaunchFeeder(cluster.Within(t)))
		cluster.Check(t, n.Launch(cluster.Within(t)))
	}},
	{"podlaned when podlane-kube runs", func(t *testing.T, n *lab.Node) {
		before := len(n.FeederLogText())
		cluster.Check(t, n.LaunchFeeder(cluster.Within(t)))
		cluster.Until(t, soon, "podlane-kube runs", func() (bool, string) {
			text := n.FeederLogText()[before:]
			return strings.Contains(text, "starts for the Node"), text
		})
		cluster.Check(t, n.Launch(cluster.Within(t)))
	}},
	{"podlane-kube 3 s later", func(t *testing.T, n *lab.Node) {
		launched := time.Now()
		cluster.Check(t, n.Launch(cluster.Within(t)))
		cluster.Until(t, soon, "podlaned has waited for 3 s", func() (bool, string) {
			_, body, err := cluster.TryGet(cluster.Within(t), n, "/readyz")
			return err == nil && time.Since(launched) > 3*time.Second, body
		})
		if ok, words := cluster.ReadyCheck(t, n, "kubernetes"); ok || words != "it has not answered yet" {
			t.Errorf("before podlane-kube starts: the check kubernetes holds: %v, %q", ok, words)
		}
		cluster.Check(t, n.LaunchFeeder(cluster.Within(t)))
	}},
}

// The Nodes have no podCIDRs. In whatever order the programs start, podlaned's log has the reason as soon as /readyz has it. A
// start is not a problem, so no other text comes first.
func TestReasonIsLoggedAtOnce(t *testing.T) {
	const tries, reason = 12, "has no podCIDR"
	l := cluster.Build(t, lab.Options{Nodes: len(startOrders), Kubernetes: true})
	cluster.Check(t, l.SetNetworkFile(lab.DefaultConfig))
	for _, n := range l.Nodes {
		l.API.SetNode(n.Name)
		cluster.Check(t, n.SetKubeconfig(l.API.Kubeconfig(nil, "")))
	}
	for range tries / len(startOrders) {
		t.Run("all nodes start", func(t *testing.T) {
			for i, order := range rand.Perm(len(startOrders)) {
				n, order := l.Nodes[i], startOrders[order]
				t.Run(order.name, func(t *testing.T) {
					t.Parallel()
					before := len(n.LogText())
					order.start(t, n)
					cluster.Until(t, soon, n.Name+" reports the reason", func() (bool, string) {
						_, body, err := cluster.TryGet(cluster.Within(t), n, "/readyz")
						return err == nil && strings.Contains(body, reason), body
					})
					if log := n.LogText()[before:]; !strings.Contains(log, reason) {
						t.Errorf("/readyz of %s has %q, and its log has only\n%s", n.Name, reason, log)
					}
				})
			}
		})
		for _, n := range l.Nodes {
			cluster.Kill(t, n)
			cluster.Check(t, n.KillFeeder())
		}
	}
}
