// Package kubestore causes the faults that a pod network meets whose store is the Kubernetes API. The clusters run the built
// podlaned and podlane-kube. The API server is the lab's. Meanwhile numbered datagrams and long-lived connections run between
// the pods. The tests count what is lost.
package kubestore

import (
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/lab/sandbox"
	"github.com/podlane/podlane/tests/cluster"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// soon is the limit for steps without a promised time.
const soon = 20 * time.Second

// fault is something that fails on the standard cluster. run leaves the cluster as it was.
type fault struct {
	name string
	run  func(t *testing.T, b *bed)
}

// bed is the standard cluster. It has three nodes with two pods each, IPv4 and IPv6.
type bed struct {
	*lab.Lab
	cluster.Baseline
}

func makeBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{Lab: cluster.Start(t, lab.Options{Nodes: 3, IPv6: true, Config: cluster.DualStack, Kubernetes: true}, 2)}
	b.Baseline = cluster.RecordBaseline(t, b.Lab, soon)
	return b
}

// runFaults causes each fault on one cluster. After each it expects that all is as before.
func runFaults(t *testing.T, faults []fault) {
	t.Helper()
	b := makeBed(t)
	for _, f := range faults {
		ok := t.Run(f.name, func(t *testing.T) {
			f.run(t, b)
			b.expectRecovered(t)
		})
		if !ok {
			t.Fatal("the next fault needs a cluster that has recovered")
		}
	}
}

// expectRecovered waits until all is as at the beginning, without a problem.
func (b *bed) expectRecovered(t *testing.T) {
	t.Helper()
	for _, n := range b.Nodes {
		cluster.AwaitStatus(t, n, soon, "no problem", func(s cluster.Status) bool { return len(s.Problems) == 0 })
	}
	b.ExpectAgain(t, b.Lab, soon)
}

// flood starts streams between pods of every two nodes, and between the two pods of each node.
func (b *bed) flood(t *testing.T) cluster.Flood {
	t.Helper()
	return cluster.StartFlood(t, b.pairs(b.Nodes...)...)
}

func (b *bed) pairs(nodes ...*lab.Node) [][2]*lab.Pod { return cluster.PodPairs(b.Lab, nodes...) }
