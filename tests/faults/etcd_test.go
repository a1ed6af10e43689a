package faults

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// What happens to etcd costs the pods nothing.
var etcdFaults = []fault{
	{"a member of etcd is killed", outage{begin: killMembers(oneMember), lasts: 5 * second}.run},
	{"the leader of etcd is killed", outage{begin: killMembers(leader), lasts: 5 * second}.run},
	{"a member of etcd hangs", outage{begin: pauseMembers(oneMember), lasts: 5 * second}.run},
	{"the leader of etcd hangs", outage{begin: pauseMembers(leader), lasts: 5 * second}.run},
	{"all of etcd hangs", outage{begin: pauseMembers(allMembers), cutOff: allNodes, lasts: 10 * second}.run},
	{"a node is cut off from etcd", outage{begin: cutOffNodes(oneNode), cutOff: oneNode, lasts: 10 * second}.run},
	{"all nodes are cut off from etcd", outage{begin: cutOffNodes(allNodes), cutOff: allNodes, lasts: 10 * second}.run},
	{"a node is cut off from two members of etcd", oneMemberLeft},
}

func TestEtcd(t *testing.T) {
	runFaults(t, append(slices.Clone(etcdFaults),
		fault{"etcd is down for 30 s", outage{begin: killMembers(allMembers), cutOff: allNodes, lasts: 30 * second}.run}))
}

func oneNode(b *bed) []*lab.Node  { return b.Nodes[:1] }
func allNodes(b *bed) []*lab.Node { return b.Nodes }

func oneMember(*testing.T, *bed) []int  { return []int{2} }
func allMembers(*testing.T, *bed) []int { return []int{1, 2, 3} }

func leader(t *testing.T, b *bed) []int {
	t.Helper()
	i, err := b.Etcd.Leader(cluster.Within(t))
	cluster.Check(t, err)
	return []int{i}
}

// killMembers kills members of etcd. A single member is in use before that, and again after its start.
func killMembers(which func(*testing.T, *bed) []int) func(*testing.T, *bed) func() {
	return func(t *testing.T, b *bed) func() {
		t.Helper()
		killed := which(t, b)
		if len(killed) == 1 {
			b.expectMemberUsed(t, b.Nodes[:1], killed[0]) // so that the node loses a member that it uses
		}
		for _, i := range killed {
			t.Cleanup(func() { cluster.Check(t, b.Etcd.Launch(i)) })
			cluster.Check(t, b.Etcd.Kill(i))
		}
		return func() {
			cluster.Check(t, b.Etcd.Start(cluster.Within(t)))
			if len(killed) == 1 {
				b.expectMemberUsed(t, b.Nodes, killed[0])
			}
		}
	}
}

// pauseMembers stops the processes of etcd's members. Their kernels still receive packets, but nothing answers.
func pauseMembers(which func(*testing.T, *bed) []int) func(*testing.T, *bed) func() {
	return func(t *testing.T, b *bed) func() {
		t.Helper()
		paused := which(t, b)
		if len(paused) == 1 {
			b.expectMemberUsed(t, b.Nodes[:1], paused[0])
		}
		for _, i := range paused {
			cluster.Check(t, b.Etcd.Pause(i))
		}
		resume := func() {
			for _, i := range paused {
				cluster.Check(t, b.Etcd.Resume(i))
			}
		}
		t.Cleanup(resume)
		return func() {
			resume()
			if len(paused) == 1 {
				b.expectMemberUsed(t, b.Nodes, paused[0])
			}
		}
	}
}

// cutOffNodes adds a packet filter between nodes and etcd.
func cutOffNodes(which func(*bed) []*lab.Node) func(*testing.T, *bed) func() {
	return func(t *testing.T, b *bed) func() {
		t.Helper()
		var heals []func()
		for _, n := range which(b) {
			heals = append(heals, b.cutOff(t, n, 1, 2, 3))
		}
		return func() {
			for _, heal := range heals {
				heal()
			}
		}
	}
}

// cutOff adds a packet filter between a node and members of etcd.
func (b *bed) cutOff(t *testing.T, n *lab.Node, members ...int) (heal func()) {
	t.Helper()
	var addrs []netip.Addr
	for _, i := range members {
		addrs = append(addrs, b.Etcd.Addr(i))
	}
	mend, err := n.CutOff(addrs...)
	cluster.Check(t, err)
	heal = func() { cluster.Check(t, mend()) }
	t.Cleanup(heal)
	return heal
}

// expectMemberUsed leaves nodes only one member of etcd, and expects that they receive a change.
func (b *bed) expectMemberUsed(t *testing.T, nodes []*lab.Node, member int) {
	t.Helper()
	others := slices.DeleteFunc([]int{1, 2, 3}, func(i int) bool { return i == member })
	for _, n := range nodes {
		defer b.cutOff(t, n, others...)()
	}
	t.Logf("%d nodes reach only member %d", len(nodes), member)
	b.expectChanges(t, nodes)
	expectEtcd(t, nodes, true)
}

// oneMemberLeft leaves the nodes one member of etcd after the other.
func oneMemberLeft(t *testing.T, b *bed) {
	traffic := b.flood(t)
	for member := range 3 {
		b.expectMemberUsed(t, b.Nodes, member+1)
	}
	traffic.ExpectNothingLost(t)
}
