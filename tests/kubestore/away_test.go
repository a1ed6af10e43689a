package kubestore

import (
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// awayLimit is the time until a node reports that no packet reaches its API server. podlane-kube pings the server, and then
// tries to list the Nodes for 10 s.
const awayLimit = 40 * time.Second

// savedLimit is the time until a start without podlane-kube uses the saved state. It waits for 2 s. Only 15 s later is that a
// problem.
const savedLimit = 5 * time.Second

// The API server is away while the nodes run.
var awayFaults = []fault{
	{"smoke", func(t *testing.T, b *bed) { b.flood(t).ExpectNothingLost(t) }},
	{"the API server refuses connections", func(t *testing.T, b *bed) {
		b.away(t, soon, func() { cluster.Check(t, b.API.Refuse()) }, func() { cluster.Check(t, b.API.Accept()) })
	}},
	{"no packet reaches the API server", func(t *testing.T, b *bed) {
		var heals []func() error
		b.away(t, awayLimit, func() {
			for _, n := range b.Nodes {
				heal, err := n.CutOff(apiAddress(b.Lab))
				cluster.Check(t, err)
				heals = append(heals, heal)
			}
		}, func() {
			for _, heal := range heals {
				cluster.Check(t, heal())
			}
		})
	}},
	{"the API server denies everything", func(t *testing.T, b *bed) {
		b.away(t, soon, func() { b.API.Deny("*") }, func() { b.API.Deny() }, "403", "RBAC")
	}},
	{"the API server does not accept the token any more", func(t *testing.T, b *bed) {
		b.away(t, soon, func() { b.API.SetToken("another"); cluster.Check(t, b.API.Refuse()); cluster.Check(t, b.API.Accept()) },
			func() { b.API.SetToken("") }, "401", "token")
	}},
}

func TestAway(t *testing.T) { runFaults(t, awayFaults) }

// away makes the API server unreachable. All nodes must report it, and no pod may notice it.
func (b *bed) away(t *testing.T, limit time.Duration, begin, end func(), words ...string) {
	t.Helper()
	traffic, before := b.flood(t), processes(b.Nodes)
	begin()
	var kernels []*cluster.Monitor
	for _, n := range b.Nodes {
		kernels = append(kernels, cluster.WatchKernel(t, n.Place))
	}
	expectProblems(t, b.Nodes, limit, append(words, "kubernetes: ", "the API server")...)
	for _, k := range kernels {
		k.ExpectNothing(t)
	}
	b.expectAttach(t, b.Nodes[0])
	b.expectSameProcesses(t, before)
	end()
	b.expectChanges(t)
	traffic.ExpectNothingLost(t)
}

// expectChanges adds a Node and deletes it, and waits until all nodes have followed.
func (b *bed) expectChanges(t *testing.T) {
	t.Helper()
	b.announceForeign("n9", "10.5.9.0/24")
	for _, n := range b.Nodes {
		cluster.AwaitStatus(t, n, 2*soon, "the new peer", func(s cluster.Status) bool { return len(s.Peers) == len(b.Nodes) })
	}
	b.API.DeleteNode("n9")
	for _, n := range b.Nodes {
		cluster.AwaitStatus(t, n, soon, "the peer is gone", func(s cluster.Status) bool { return len(s.Peers) == len(b.Nodes)-1 })
	}
}

func (b *bed) expectSameProcesses(t *testing.T, before []int) {
	t.Helper()
	for i, pid := range processes(b.Nodes) {
		if pid != before[i] {
			t.Errorf("a daemon of %s ended:\n%s", b.Nodes[i/2].Name, b.Logs(20, 4))
		}
	}
}

// lifeFaults end the daemons.
var lifeFaults = []fault{
	{"podlane-kube is killed and starts again", func(t *testing.T, b *bed) {
		b.untouched(t, func(n *lab.Node) {
			cluster.Check(t, n.KillFeeder())
			expectProblem(t, n, soon, "podlane-kube is not connected", "closed the connection")
			b.expectAttach(t, n)
			startNodes(t, n)
		})
	}},
	{"podlaned is killed and starts again", func(t *testing.T, b *bed) {
		b.untouched(t, func(n *lab.Node) {
			cluster.Kill(t, n)
			startNodes(t, n)
		})
	}},
	{"podlaned starts again without podlane-kube", func(t *testing.T, b *bed) {
		b.untouched(t, func(n *lab.Node) {
			cluster.Kill(t, n)
			cluster.Check(t, n.KillFeeder())
			cluster.Check(t, n.Launch(cluster.Within(t)))
			began := time.Now()
			cluster.AwaitStatus(t, n, soon, "the peers of the saved state", func(s cluster.Status) bool { return len(s.Peers) == 2 && !s.Verified.IsZero() })
			if took := time.Since(began); took > savedLimit {
				t.Errorf("the saved state is used after %v", took)
			}
			expectProblem(t, n, 2*soon, "podlane-kube is not connected")
			b.expectAttach(t, n)
			startNodes(t, n)
		})
	}},
	{"both start again while the API server is away", func(t *testing.T, b *bed) {
		cluster.Check(t, b.API.Refuse())
		b.untouched(t, func(n *lab.Node) {
			cluster.Kill(t, n)
			cluster.Check(t, n.KillFeeder())
			cluster.Check(t, n.LaunchFeeder(cluster.Within(t)))
			cluster.Check(t, n.Launch(cluster.Within(t)))
			expectProblem(t, n, soon, "the API server does not answer")
			b.expectAttach(t, n)
			cluster.Check(t, b.API.Accept())
		})
	}},
	{"all nodes boot while the API server is away", func(t *testing.T, b *bed) {
		cluster.Check(t, b.API.Refuse())
		for _, n := range b.Nodes {
			cluster.Check(t, n.Reboot(cluster.Within(t)))
			cluster.Check(t, n.LaunchFeeder(cluster.Within(t)))
			cluster.Check(t, n.Launch(cluster.Within(t)))
		}
		for _, n := range b.Nodes {
			cluster.AwaitStatus(t, n, soon, "the peers of the saved state", func(s cluster.Status) bool { return len(s.Peers) == 2 && !s.Verified.IsZero() })
			expectProblem(t, n, soon, "the API server does not answer")
		}
		cluster.Check(t, b.AddPods(cluster.Within(t), 2))
		cluster.AwaitBridges(t, b.Nodes...)
		traffic := b.flood(t)
		traffic.ExpectFlow(t, soon)
		cluster.Check(t, b.API.Accept())
		cluster.AwaitPeers(t, b.Lab, 2*soon, 2)
		traffic.ExpectNothingLost(t)
	}},
}

func TestLife(t *testing.T) { runFaults(t, lifeFaults) }

// untouched is lossless for faults that no other node may notice.
func (b *bed) untouched(t *testing.T, do func(n *lab.Node)) {
	t.Helper()
	kernel := cluster.WatchKernel(t, b.Nodes[1].Place)
	b.lossless(t, do)
	kernel.ExpectNothing(t)
}

// lossless runs a fault of the first node's daemons. No pod may notice it.
func (b *bed) lossless(t *testing.T, do func(n *lab.Node)) {
	t.Helper()
	traffic := b.flood(t)
	do(b.Nodes[0])
	cluster.AwaitPeers(t, b.Lab, 2*soon, len(b.Nodes)-1)
	traffic.ExpectNothingLost(t)
}
