package faults

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// bootLimit is the time for a node to start while etcd is down.
const bootLimit = 5 * second

// podlaned starts, or the machine boots, while etcd is down. After a boot the kernel and /run are empty.
var bootFaults = []fault{
	{"podlaned starts while etcd is down", func(t *testing.T, b *bed) {
		traffic := b.flood(t)
		kernel := cluster.WatchKernel(t, b.Nodes[0].Place)
		b.withoutEtcd(t, func() {
			cluster.Kill(t, b.Nodes[0])
			b.expectComeback(t, b.Nodes[:1])
		})
		kernel.ExpectNothing(t)
		traffic.ExpectNothingLost(t)
	}},
	{"a node boots while etcd is down", boot(1)},
	{"all nodes boot while etcd is down", boot(3)},
	{"all nodes boot while etcd hangs", func(t *testing.T, b *bed) {
		end := pauseMembers(allMembers)(t, b)
		b.reboot(t, b.Nodes)
		b.expectComeback(t, b.Nodes)
		end()
	}},
}

func TestBoot(t *testing.T) { runFaults(t, bootFaults) }

func boot(count int) func(*testing.T, *bed) {
	return func(t *testing.T, b *bed) {
		traffic := cluster.StartFlood(t, b.pairs(b.Nodes[count:]...)...)
		b.withoutEtcd(t, func() {
			b.reboot(t, b.Nodes[:count])
			b.expectComeback(t, b.Nodes[:count])
			b.flood(t).ExpectNothingLost(t) // all pods talk
		})
		traffic.ExpectNothingLost(t)
	}
}

// withoutEtcd runs a function while etcd is down.
func (b *bed) withoutEtcd(t *testing.T, do func()) {
	t.Helper()
	end := killMembers(allMembers)(t, b)
	do()
	end()
}

// reboot crashes machines and boots them. It does not start podlaned, and no pod is left.
func (b *bed) reboot(t *testing.T, nodes []*lab.Node) {
	t.Helper()
	var all errgroup.Group
	for _, n := range nodes {
		all.Go(func() error { return n.Reboot(cluster.Within(t)) })
	}
	cluster.Check(t, all.Wait())
}

// expectComeback starts podlaned on nodes. Each must soon have verified its kernel and written its node file. Its old
// pods are attached again, and must reach other nodes' pods.
func (b *bed) expectComeback(t *testing.T, nodes []*lab.Node) {
	t.Helper()
	began := time.Now()
	for _, n := range nodes {
		cluster.Check(t, n.Launch(cluster.Within(t)))
	}
	for _, n := range nodes {
		cluster.Until(t, bootLimit, n.Name+" is verified and has its node file", func() (bool, string) {
			if _, err := os.Stat(n.NodeFile()); err != nil {
				return false, err.Error() + "\n" + n.LogText()
			}
			s, err := cluster.StatusOf(cluster.Within(t), n)
			code, body, errAttach := cluster.TryGet(cluster.Within(t), n, "/readyz/attach")
			err = errors.Join(err, errAttach)
			return err == nil && s.Verified.After(began) && len(s.Peers) == len(b.Nodes)-1 && code == http.StatusOK, fmt.Sprintf("%+v, %v, %s", s, err, body)
		})
	}
	verified := since(began)
	for _, n := range nodes {
		for len(b.podsOf(n)) < 2 {
			_, err := b.AddPod(cluster.Within(t), n, fmt.Sprintf("again%d%c", n.Index, 'a'+len(b.podsOf(n))))
			cluster.Check(t, err)
		}
	}
	for _, n := range nodes {
		for _, pair := range b.pairs(n, b.Nodes[n.Index%len(b.Nodes)]) {
			_, err := pair[0].Ping(cluster.Within(t), pair[1].Addrs[0], 1)
			cluster.Check(t, err)
		}
	}
	t.Logf("%d nodes: verified after %v, the first packets between new pods and others after %v", len(nodes), verified, since(began))
	if d := since(began); d > bootLimit {
		t.Errorf("back after %v, want at most %v", d, bootLimit)
	}
}

// The etcd leases of two nodes really expire. One node was off meanwhile and boots without etcd. Its pod subnet may
// belong to another node by now. The other runs all the time without etcd, and its pods go on.
func TestLeaseRunsOut(t *testing.T) {
	b := &bed{Lab: cluster.Start(t, lab.Options{Nodes: 3, IPv6: true, Config: cluster.DualStack, EtcdMembers: 3, NodeEnv: func(int) []string {
		return []string{"PODLANE_LEASE_TTL=1m"}
	}}, 2)}
	cluster.AwaitPeers(t, b.Lab, soon, 2)
	off, running, other := b.Nodes[0], b.Nodes[1], b.Nodes[2]
	before := []string{cluster.SubnetText(t, off), cluster.SubnetText(t, running)}
	own := b.podsOf(running)
	traffic := cluster.StartFlood(t, [2]*lab.Pod{own[0], own[1]})
	kernel := cluster.WatchKernel(t, running.Place)
	cluster.Kill(t, off)
	end := cutOffNodes(func(b *bed) []*lab.Node { return b.Nodes[1:2] })(t, b)
	cluster.AwaitStatus(t, other, 2*minute, "both leases have expired", func(s cluster.Status) bool { return len(s.Peers) == 0 })
	cluster.Until(t, etcdLimit, "readiness reports the expired lease", func() (bool, string) {
		ok, words := cluster.ReadyCheck(t, running, "lease")
		return !ok && strings.Contains(words, "ran out"), words
	})
	b.expectNoAttach(t, running, "ran out")
	cluster.Kill(t, running)
	cluster.Check(t, running.Launch(cluster.Within(t)))
	b.expectNoAttach(t, running, "lease")

	b.reboot(t, b.Nodes[:1])
	heal := b.cutOff(t, off, 1, 2, 3)
	cluster.Check(t, off.Launch(cluster.Within(t)))
	took := cluster.AwaitStatus(t, off, bootLimit, "no lease, with the reason", func(s cluster.Status) bool {
		problems := strings.Join(s.Problems, " ")
		return !s.Ready && strings.Contains(problems, "saved lease: 10.5.") && strings.Contains(problems, "ran out") && strings.Contains(problems, "etcd does not answer")
	})
	t.Logf("a node reports its expired lease after %s", took)
	wait(t, bootLimit)
	if _, err := os.Stat(off.NodeFile()); err == nil {
		t.Error("a node with an expired lease writes its node file")
	}
	if text := cluster.KernelOf(t, off); strings.Contains(text, "podlane.1") {
		t.Errorf("a node with an expired lease has programmed its kernel:\n%s", text)
	}

	heal()
	cluster.AwaitStatus(t, other, soon, "one lease is back", func(s cluster.Status) bool { return len(s.Peers) == 1 })
	end()
	cluster.AwaitPeers(t, b.Lab, soon, 2)
	if diff := gocmp.Diff(before, []string{cluster.SubnetText(t, off), cluster.SubnetText(t, running)}); diff != "" {
		t.Errorf("pod subnets (-before +now):\n%s", diff)
	}
	_, err := own[0].Ping(cluster.Within(t), b.podsOf(other)[0].Addrs[0], 1)
	cluster.Check(t, err)
	expectUntouched(t, kernel)
	b.expectAttach(t, running)
	traffic.ExpectNothingLost(t)
}
