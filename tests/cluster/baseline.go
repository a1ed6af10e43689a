package cluster

import (
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
)

// Baseline is how a running cluster is before a fault.
type Baseline struct {
	Subnets []string // the pod subnets of the nodes
	Kernels []string // what podlane keeps in each node's kernel
}

// RecordBaseline waits until all nodes have all their peers and have saved their leases.
func RecordBaseline(t *testing.T, l *lab.Lab, within time.Duration) (b Baseline) {
	t.Helper()
	AwaitPeers(t, l, within, len(l.Nodes)-1)
	for _, n := range l.Nodes {
		b.Subnets = append(b.Subnets, SubnetText(t, n))
		b.Kernels = append(b.Kernels, KernelOf(t, n))
	}
	AwaitSaved(t, l.Nodes, b.Subnets...)
	return b
}

// ExpectAgain waits until all nodes are ready with all their peers. Their pod subnets, kernels and saved leases must be as in
// the baseline.
func (b Baseline) ExpectAgain(t *testing.T, l *lab.Lab, within time.Duration) {
	t.Helper()
	AwaitPeers(t, l, within, len(l.Nodes)-1)
	for i, n := range l.Nodes {
		if got := SubnetText(t, n); got != b.Subnets[i] {
			t.Errorf("%s: pod subnet %s, want %s as before", n.Name, got, b.Subnets[i])
		}
		Until(t, within, n.Name+": the kernel is as it was", func() (bool, string) {
			now, err := ReadKernel(Within(t), n)
			return err == nil && now == b.Kernels[i], Differences(b.Kernels[i], now)
		})
	}
	AwaitSaved(t, l.Nodes, b.Subnets...)
}

// PodPairs returns a pod of each node with one of each other node, and the two pods of each node.
func PodPairs(l *lab.Lab, nodes ...*lab.Node) (pairs [][2]*lab.Pod) {
	for i, n := range nodes {
		own := PodsOf(l, n)
		pairs = append(pairs, [2]*lab.Pod{own[0], own[1]})
		for _, m := range nodes[i+1:] {
			pairs = append(pairs, [2]*lab.Pod{own[0], PodsOf(l, m)[0]})
		}
	}
	return pairs
}

// PodsOf returns the pods of a node.
func PodsOf(l *lab.Lab, n *lab.Node) (pods []*lab.Pod) {
	for _, p := range l.Pods() {
		if p.Node == n {
			pods = append(pods, p)
		}
	}
	return pods
}
