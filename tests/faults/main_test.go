// Package faults causes the faults that a pod network meets. The clusters run the built binaries. Meanwhile numbered
// datagrams and long-lived connections run between the pods. The tests count what is lost.
package faults

import (
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/lab/sandbox"
	"github.com/podlane/podlane/tests/cluster"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// fault is something that fails on the standard cluster. run leaves the cluster as it was, so the soak test can run
// faults in any order.
type fault struct {
	name string
	run  func(t *testing.T, b *bed)
}

// bed is the standard cluster. It has three nodes with two pods each, IPv4 and IPv6, and three members of etcd.
type bed struct {
	*lab.Lab
	cluster.Baseline
}

const (
	second = time.Second
	minute = time.Minute
	// soon is the limit for steps without a promised time.
	soon = 20 * time.Second
)

func makeBed(t *testing.T) *bed {
	t.Helper()
	return makeBedOf(t, cluster.DualStack)
}

// makeBedOf is makeBed with another network configuration.
func makeBedOf(t *testing.T, config string) *bed {
	t.Helper()
	b := &bed{Lab: cluster.Start(t, lab.Options{Nodes: 3, IPv6: true, Config: config, EtcdMembers: 3}, 2)}
	b.Baseline = cluster.RecordBaseline(t, b.Lab, soon)
	return b
}

// runFaults causes each fault on one cluster. After each it expects that all is as before.
func runFaults(t *testing.T, faults []fault) {
	t.Helper()
	makeBed(t).runFaults(t, faults)
}

// runFaultsAround is runFaults on a cluster whose underlay is in the pod network.
func runFaultsAround(t *testing.T, faults []fault) {
	t.Helper()
	makeBedOf(t, cluster.AroundUnderlay).runFaults(t, faults)
}

func (b *bed) runFaults(t *testing.T, faults []fault) {
	t.Helper()
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			f.run(t, b)
			b.expectRecovered(t)
		})
	}
}

// expectRecovered waits until all is as at the beginning. The next fault may kill podlaned and etcd at once.
func (b *bed) expectRecovered(t *testing.T) {
	t.Helper()
	b.ExpectAgain(t, b.Lab, soon)
}

// flood starts streams between pods of every two nodes, and between the two pods of each node.
func (b *bed) flood(t *testing.T) cluster.Flood {
	t.Helper()
	return cluster.StartFlood(t, b.pairs(b.Nodes...)...)
}

func (b *bed) pairs(nodes ...*lab.Node) [][2]*lab.Pod { return cluster.PodPairs(b.Lab, nodes...) }

func (b *bed) podsOf(n *lab.Node) []*lab.Pod { return cluster.PodsOf(b.Lab, n) }
