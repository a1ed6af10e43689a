package faults

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// The first node's own key in etcd changes. podlaned must not write to its kernel. The peers lose the node until its
// key is restored.
var ownKeyFaults = []fault{
	{"the own key is deleted", func(t *testing.T, b *bed) {
		b.losesKey(t, func() (end func()) {
			key := cluster.LeaseKey(b.Subnets[0])
			change(t, func(ctx context.Context) error { return b.Etcd.Delete(ctx, key) })
			return func() {}
		})
	}},
	{"the own lease expires while the node is cut off", func(t *testing.T, b *bed) {
		b.losesKey(t, func() (end func()) {
			heal := b.cutOff(t, b.Nodes[0], 1, 2, 3)
			b.expire(t)
			expectEtcd(t, b.Nodes[:1], false)
			return heal
		})
	}},
	{"the own lease expires while podlaned hangs", func(t *testing.T, b *bed) {
		b.losesKey(t, func() (end func()) {
			cluster.Check(t, b.Nodes[0].Pause())
			t.Cleanup(func() { cluster.Check(t, b.Nodes[0].Resume()) })
			b.expire(t)
			return func() { cluster.Check(t, b.Nodes[0].Resume()) }
		})
	}},
	{"another node writes over the own key", func(t *testing.T, b *bed) { b.losesKeyToAnother(t, func() func() { return func() {} }) }},
	{"another node writes over the own key while the node is cut off", func(t *testing.T, b *bed) {
		b.losesKeyToAnother(t, func() func() {
			defer expectEtcd(t, b.Nodes[:1], false)
			return b.cutOff(t, b.Nodes[0], 1, 2, 3)
		})
	}},
}

func TestOwnKey(t *testing.T) { runFaults(t, ownKeyFaults) }

// reclaimLimit is the time until the peers reach a node whose key is restored.
const reclaimLimit = 2 * second

// ownKey is the content of a node's key in etcd.
type ownKey struct {
	value                    string
	created, modified, lease int64
}

func ownKeyOf(t *testing.T, l *lab.Lab, pair string) (k ownKey) {
	t.Helper()
	change(t, func(ctx context.Context) error {
		r, err := l.Etcd.Client.Get(ctx, cluster.LeaseKey(pair))
		if err == nil && len(r.Kvs) == 1 {
			k = ownKey{string(r.Kvs[0].Value), r.Kvs[0].CreateRevision, r.Kvs[0].ModRevision, r.Kvs[0].Lease}
		}
		return err
	})
	return k
}

// expire ends the first node's etcd lease, which would last for a day. It waits until the peers have removed the node.
func (b *bed) expire(t *testing.T) {
	t.Helper()
	id := clientv3.LeaseID(ownKeyOf(t, b.Lab, b.Subnets[0]).lease)
	_, err := b.Etcd.Client.Revoke(cluster.Within(t), id)
	cluster.Check(t, err)
	for _, n := range b.Nodes[1:] {
		cluster.AwaitStatus(t, n, etcdLimit, "the peer is removed", func(s cluster.Status) bool { return len(s.Peers) == len(b.Nodes)-2 })
	}
}

// losesKey runs a function that removes the first node's key. The node must write the same key again.
func (b *bed) losesKey(t *testing.T, lose func() (end func())) {
	t.Helper()
	whole, kernel := cluster.StartFlood(t, b.pairsApart()...), cluster.WatchKernel(t, b.Nodes[0].Place)
	cut, before := cluster.StartFlood(t, b.pairsAcross()...), ownKeyOf(t, b.Lab, b.Subnets[0])
	began := time.Now()
	end := lose()
	lasted := since(began)
	end()
	took := b.awaitReclaimed(t, before)
	expectUntouched(t, kernel)
	whole.ExpectNothingLost(t)
	t.Logf("away for %v, written again %s later", lasted, took)
	cut.ExpectGap(t, lasted+took.Max+reclaimLimit)
}

// expectUntouched expects no change of a kernel. It ignores nftables. Notifications do not name the table, and the
// lab's table cuts a node off. expectRecovered compares podlane's table.
func expectUntouched(t *testing.T, kernel *cluster.Monitor) {
	t.Helper()
	for _, change := range kernel.Changes(t) {
		if !strings.HasPrefix(change, "nftables") {
			t.Errorf("unexpected change of the node's kernel: %s", change)
		}
	}
}

// awaitReclaimed waits until the first node's key is as before, and then until the peers reach its pods.
func (b *bed) awaitReclaimed(t *testing.T, before ownKey) (took cluster.Elapsed) {
	t.Helper()
	took = cluster.Until(t, soon, "the key is restored", func() (bool, string) {
		now := ownKeyOf(t, b.Lab, b.Subnets[0])
		return now.value == before.value && now.modified > before.modified && now.lease != 0, fmt.Sprintf("%+v", now)
	})
	began := time.Now()
	for _, pair := range b.pairsAcross() {
		for _, addr := range pair[0].Addrs {
			cluster.Until(t, reclaimLimit, fmt.Sprintf("%s reaches %s", pair[1].Name, addr), func() (bool, string) {
				_, err := pair[1].Ping(cluster.Bounded(t, reclaimLimit), addr, 1)
				return err == nil, fmt.Sprint(err)
			})
		}
	}
	if d := since(began); d > reclaimLimit {
		t.Errorf("the peers reach the node %v after it has written its key again, want at most %v", d, reclaimLimit)
	} else {
		t.Logf("the peers reach the node at most %v after it has written its key again", d)
	}
	return took
}

// pairsAcross returns pods of the first node, each with one of another node. pairsApart returns all other pairs.
func (b *bed) pairsAcross() (pairs [][2]*lab.Pod) {
	for _, n := range b.Nodes[1:] {
		pairs = append(pairs, [2]*lab.Pod{b.podsOf(b.Nodes[0])[0], b.podsOf(n)[0]})
	}
	return pairs
}

func (b *bed) pairsApart() [][2]*lab.Pod {
	own := b.podsOf(b.Nodes[0])
	return append(b.pairs(b.Nodes[1:]...), [2]*lab.Pod{own[0], own[1]})
}

// losesKeyToAnother expects a conflict that is reported everywhere. It ends when the other node deletes the key.
func (b *bed) losesKeyToAnother(t *testing.T, begin func() (end func())) {
	t.Helper()
	n, key := b.Nodes[0], cluster.LeaseKey(b.Subnets[0])
	before, logged := ownKeyOf(t, b.Lab, b.Subnets[0]), len(n.LogText())
	whole, kernel := cluster.StartFlood(t, b.pairsApart()...), cluster.WatchKernel(t, n.Place)
	cut := cluster.StartFlood(t, b.pairsAcross()...)
	began := time.Now()
	end := begin()
	change(t, func(ctx context.Context) error { return b.Etcd.Put(ctx, key, cluster.ForeignLease) })
	end()
	b.expectConflict(t, logged)
	if diff := gocmp.Diff(cluster.ForeignLease, ownKeyOf(t, b.Lab, b.Subnets[0]).value); diff != "" {
		t.Errorf("the other node's lease was overwritten (-want +got):\n%s", diff)
	}
	change(t, func(ctx context.Context) error { return b.Etcd.Delete(ctx, key) })
	lasted := since(began)
	took := b.awaitReclaimed(t, before)
	t.Logf("away for %v, written again %s after the other node deleted it", lasted, took)
	cluster.Until(t, soon, "readiness has no conflict", func() (bool, string) { return cluster.ReadyCheck(t, n, "conflict") })
	cluster.Until(t, soon, "the node file allows pods", func() (bool, string) {
		reason, refused := cluster.NodeFile(t, n)["PODLANE_NOT_READY"]
		return !refused, reason
	})
	expectUntouched(t, kernel)
	whole.ExpectNothingLost(t)
	cut.ExpectGap(t, lasted+took.Max+reclaimLimit)
}

// expectConflict expects that the first node reports the conflict in its status, readiness, node file and log.
func (b *bed) expectConflict(t *testing.T, logged int) {
	t.Helper()
	n := b.Nodes[0]
	took := cluster.AwaitStatus(t, n, soon, "status names the conflict", func(s cluster.Status) bool {
		return !s.Ready && strings.Contains(strings.Join(s.Problems, " "), "thief")
	})
	t.Logf("status names the conflict after %s", took)
	if ok, words := cluster.ReadyCheck(t, n, "conflict"); ok || !strings.Contains(words, "thief") {
		t.Errorf("readiness check conflict: %v %q, want a failure that names the thief", ok, words)
	}
	cluster.Until(t, soon, "the node file refuses pods", func() (bool, string) {
		reason := cluster.NodeFile(t, n)["PODLANE_NOT_READY"]
		return strings.Contains(reason, "thief"), reason
	})
	if _, err := b.AddPod(cluster.Within(t), n, "late"); err == nil || !strings.Contains(err.Error(), "thief") {
		t.Errorf("add a pod: %v, want an error that names the thief", err)
	}
	if text := n.LogText()[logged:]; !strings.Contains(text, "level=warning") || !strings.Contains(text, "thief") {
		t.Errorf("the log does not name the conflict:\n%s", text)
	}
}
