package faults

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// Peers change while a node does not receive it, and etcd compacts that history. The node's watch cannot continue.
var compactionFaults = []fault{
	{"history is compacted while a node is cut off", func(t *testing.T, b *bed) {
		b.missChanges(t, func(n *lab.Node) (end func()) {
			heal := b.cutOff(t, n, 1, 2, 3)
			expectEtcd(t, []*lab.Node{n}, false)
			return heal
		})
	}},
	{"history is compacted while a node is cut off for a moment, and etcd restarts", func(t *testing.T, b *bed) {
		b.missChanges(t, func(n *lab.Node) (end func()) {
			heal := b.cutOff(t, n, 1, 2, 3)
			return func() {
				stopEtcd(t, b.Lab)
				heal()
				cluster.Check(t, b.Etcd.Start(cluster.Within(t)))
			}
		})
	}},
	{"history is compacted while a podlaned hangs", func(t *testing.T, b *bed) {
		b.missChanges(t, func(n *lab.Node) (end func()) {
			cluster.Check(t, n.Pause())
			return func() { cluster.Check(t, n.Resume()) }
		})
	}},
}

func TestCompaction(t *testing.T) { runFaults(t, compactionFaults) }

// changes are the changes of peers. One gets another address, one another MAC, one both. One leaves and one joins.
var changes = []struct{ before, after etcdPeer }{
	{etcdPeer{244, "198.18.7.5", "ba:11:22:33:44:05"}, etcdPeer{244, "198.18.7.105", "ba:11:22:33:44:05"}},
	{etcdPeer{245, "198.18.7.6", "ba:11:22:33:44:06"}, etcdPeer{245, "198.18.7.6", "ba:11:22:33:44:16"}},
	{etcdPeer{246, "198.18.7.7", "ba:11:22:33:44:07"}, etcdPeer{246, "198.18.7.107", "ba:11:22:33:44:17"}},
	{before: etcdPeer{247, "198.18.7.8", "ba:11:22:33:44:08"}},
	{after: etcdPeer{248, "198.18.7.9", "ba:11:22:33:44:09"}},
}

// missChanges changes peers and compacts history while the first node receives nothing. Once it is back, it must soon
// match etcd.
func (b *bed) missChanges(t *testing.T, begin func(*lab.Node) (end func())) {
	t.Helper()
	const limit = 2 * second
	n, traffic, own := b.Nodes[0], b.flood(t), ownKeyOf(t, b.Lab, b.Subnets[0])
	for _, c := range changes {
		if c.before.index != 0 {
			c.before.put(t, b.Lab)
			c.before.await(t, n, soon, true)
		}
	}
	end := begin(n)
	for _, c := range changes {
		if c.after.index != 0 {
			c.after.put(t, b.Lab)
		} else {
			c.before.leave(t, b.Lab)
		}
	}
	compact(t, b.Lab)
	back := time.Now()
	end()
	seen := cluster.Until(t, etcdLimit, n.Name+" has an answer of etcd", func() (bool, string) {
		at := cluster.Metric(t, n, "podlane_etcd_last_seen_timestamp_seconds")
		return at >= float64(back.UnixMilli())/1000, time.UnixMilli(int64(1000 * at)).String()
	})
	took := cluster.Until(t, limit, n.Name+" matches etcd", func() (bool, string) { return matchesEtcd(t, n) })
	t.Logf("answer of etcd %s after it was reachable, in sync %s later", seen, took)
	if diff := gocmp.Diff(own, ownKeyOf(t, b.Lab, b.Subnets[0]), gocmp.AllowUnexported(ownKey{})); diff != "" {
		t.Errorf("the own lease has changed (-before +now):\n%s", diff)
	}
	for _, c := range changes {
		if c.after.index != 0 {
			c.after.leave(t, b.Lab)
			c.after.await(t, n, etcdLimit, false)
		}
	}
	traffic.ExpectNothingLost(t)
}

// compact removes all history of etcd.
func compact(t *testing.T, l *lab.Lab) {
	t.Helper()
	revision := revisionOf(t, l)
	change(t, func(ctx context.Context) error {
		_, err := l.Etcd.Client.Compact(ctx, revision, clientv3.WithCompactPhysical())
		if errors.Is(err, rpctypes.ErrCompacted) {
			return nil // an earlier attempt succeeded
		}
		return err
	})
}

// matchesEtcd reports whether a node's kernel has the changed peers, and nothing of what they were before.
func matchesEtcd(t *testing.T, n *lab.Node) (yes bool, text string) {
	t.Helper()
	text, err := cluster.ReadKernel(cluster.Within(t), n)
	cluster.Check(t, err)
	for _, c := range changes {
		for _, line := range c.after.lines() {
			if !strings.Contains(text, line) {
				return false, "without " + line + ":\n" + text
			}
		}
		for _, line := range c.before.lines() {
			if strings.Contains(text, line) && !slices.Contains(c.after.lines(), line) {
				return false, "still with " + line + ":\n" + text
			}
		}
	}
	return true, text
}
