package kubestore

import (
	"fmt"
	"testing"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/lab/apiserver"
	"github.com/podlane/podlane/tests/cluster"
)

// The API server answers from an old copy, or its data go back.
var restoreFaults = []fault{
	{"podlane-kube starts beside an API server that lags", func(t *testing.T, b *bed) {
		b.lossless(t, func(n *lab.Node) {
			old := b.older(t)
			cluster.Check(t, n.KillFeeder())
			b.API.Lag(old)
			cluster.Check(t, n.LaunchFeeder(cluster.Within(t)))
			cluster.AwaitStatus(t, n, 2*soon, "ready without a loss", readyWithout(0))
			b.API.Lag(nil)
			b.expectChanges(t)
		})
	}},
	{"both start beside an API server that lags", func(t *testing.T, b *bed) {
		b.lossless(t, func(n *lab.Node) {
			old := b.older(t)
			cluster.Kill(t, n)
			cluster.Check(t, n.KillFeeder())
			b.API.Lag(old)
			startNodes(t, n)
			cluster.AwaitStatus(t, n, 2*soon, "ready without a loss", readyWithout(0))
			b.API.Lag(nil)
			b.expectChanges(t)
		})
	}},
	{"the cluster is restored from a backup that lacks a Node", func(t *testing.T, b *bed) {
		traffic, old := b.flood(t), b.older(t)
		b.API.Restore(old)
		for _, n := range b.Nodes[:2] {
			cluster.AwaitStatus(t, n, soon, "one lost peer is retained", func(s cluster.Status) bool { return len(s.Peers) == 2 && s.Kubernetes.Losses == 1 && s.Retained == 1 })
			expectNote(t, n, soon, "the Kubernetes API lost data: podlaned keeps 1 peers")
		}
		expectProblem(t, b.Nodes[2], soon, "the Node n3")
		b.expectAttach(t, b.Nodes[0])
		b.API.SetNode("n3", b.PodCIDRs(3)...)
		for _, n := range b.Nodes {
			cluster.AwaitStatus(t, n, soon, "nothing is retained", func(s cluster.Status) bool { return s.Retained == 0 && len(s.Peers) == 2 })
		}
		traffic.ExpectNothingLost(t)
	}},
	{"the cluster is restored while the daemons are down", func(t *testing.T, b *bed) {
		traffic, old := b.flood(t), b.older(t)
		n := b.Nodes[0]
		cluster.Kill(t, n)
		cluster.Check(t, n.KillFeeder())
		b.API.Restore(old)
		cluster.Check(t, n.LaunchFeeder(cluster.Within(t)))
		cluster.Check(t, n.Launch(cluster.Within(t)))
		cluster.AwaitStatus(t, n, soon, "one lost peer is retained", func(s cluster.Status) bool { return len(s.Peers) == 2 && s.Kubernetes.Losses == 1 && s.Retained == 1 })
		b.API.SetNode("n3", b.PodCIDRs(3)...)
		traffic.ExpectNothingLost(t)
	}},
}

func TestRestore(t *testing.T) { runFaults(t, restoreFaults) }

// older returns a copy of the API server's data that lacks the last Node. All nodes have saved a higher revision.
func (b *bed) older(t *testing.T) *apiserver.Snapshot {
	t.Helper()
	old, revision := b.API.Snapshot(), b.API.Revision()
	b.expectChanges(t)
	for _, n := range b.Nodes {
		cluster.Until(t, soon, fmt.Sprintf("%s has saved a revision above %d", n.Name, revision), func() (bool, string) {
			saved, err := cluster.ReadSaved(n)
			return err == nil && saved.Revision > revision, fmt.Sprint(saved.Revision, err)
		})
	}
	cluster.AwaitSaved(t, b.Nodes, b.Subnets...)
	return old.Without("n3")
}

func readyWithout(losses int) func(cluster.Status) bool {
	return func(s cluster.Status) bool {
		return s.Ready && len(s.Peers) == 2 && s.Kubernetes.Losses == losses && s.Retained == 0 && len(s.Problems) == 0
	}
}
