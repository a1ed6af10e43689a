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
	subnets []string // of the nodes
	kernels []string // what podlane keeps in each node's kernel
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
	cluster.AwaitPeers(t, b.Lab, soon, len(b.Nodes)-1)
	for _, n := range b.Nodes {
		b.subnets = append(b.subnets, cluster.SubnetText(t, n))
		b.kernels = append(b.kernels, cluster.KernelOf(t, n))
	}
	cluster.AwaitSaved(t, b.Nodes, b.subnets...)
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

// expectRecovered waits until all nodes are ready with all their peers. Their pod subnets, kernels and saved leases
// must be as at the beginning. The next fault may kill podlaned and etcd at once.
func (b *bed) expectRecovered(t *testing.T) {
	t.Helper()
	cluster.AwaitPeers(t, b.Lab, soon, len(b.Nodes)-1)
	for i, n := range b.Nodes {
		if got := cluster.SubnetText(t, n); got != b.subnets[i] {
			t.Errorf("%s: pod subnet %s, want %s as before", n.Name, got, b.subnets[i])
		}
		cluster.Until(t, soon, n.Name+": the kernel is as it was", func() (bool, string) {
			now, err := cluster.ReadKernel(cluster.Within(t), n)
			return err == nil && now == b.kernels[i], cluster.Differences(b.kernels[i], now)
		})
	}
	cluster.AwaitSaved(t, b.Nodes, b.subnets...)
}

// flood starts streams between pods of every two nodes, and between the two pods of each node.
func (b *bed) flood(t *testing.T) cluster.Flood {
	t.Helper()
	return cluster.StartFlood(t, b.pairs(b.Nodes...)...)
}

// pairs returns a pod of each node with one of each other node, and the two pods of each node.
func (b *bed) pairs(nodes ...*lab.Node) (pairs [][2]*lab.Pod) {
	for i, n := range nodes {
		own := b.podsOf(n)
		pairs = append(pairs, [2]*lab.Pod{own[0], own[1]})
		for _, m := range nodes[i+1:] {
			pairs = append(pairs, [2]*lab.Pod{own[0], b.podsOf(m)[0]})
		}
	}
	return pairs
}

func (b *bed) podsOf(n *lab.Node) (pods []*lab.Pod) {
	for _, p := range b.Pods() {
		if p.Node == n {
			pods = append(pods, p)
		}
	}
	return pods
}
