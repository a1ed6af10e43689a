package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// etcd loses all its data while the podlaneds run, while one of them is away, or while all are. The nodes are where they
// were, so all is put back and nothing is taken out of a kernel.
var wipeFaults = []fault{
	{"etcd is wiped", func(t *testing.T, b *bed) { b.loses(t, wipe, 0, 0) }},
	{"etcd is wiped while a podlaned is away", func(t *testing.T, b *bed) { b.loses(t, wipe, 1, 0) }},
	{"etcd is wiped while all podlaneds are away", func(t *testing.T, b *bed) { b.loses(t, wipe, 3, 0) }},
}

func TestEtcdIsWiped(t *testing.T) { runFaults(t, wipeFaults) }

// etcd goes back to a backup that does not know of a node and of a peer, and knows of a peer that has left since.
func TestEtcdIsRestored(t *testing.T) {
	for _, c := range []struct {
		name string
		away int
	}{
		{"while the podlaneds run", 0},
		{"while a podlaned is away", 1},
		{"while all podlaneds are away", 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := growBed(t)
			b.loses(t, restore, c.away, 2)
			b.expectMemory(t)
		})
	}
	// When the nodes reach etcd again it is at a revision beyond what they have seen, in another history.
	t.Run("while the nodes are cut off and a podlaned is away, and goes on from there", func(t *testing.T) {
		b := growBed(t)
		end := cutOffNodes(allNodes)(t, b)
		before := revisionOf(t, b.Lab)
		b.loses(t, func(t *testing.T, l *lab.Lab) {
			restore(t, l)
			cluster.Check(t, l.Etcd.Start(cluster.Within(t)))
			for i := 0; revisionOf(t, l) <= before+10; i++ {
				change(t, func(ctx context.Context) error { return l.Etcd.Put(ctx, fmt.Sprint("/elsewhere/", i), "") })
			}
			end()
		}, 1, 2)
		b.expectMemory(t)
	})
}

// deaf is how long it may go unnoticed that etcd lost data. A watch is silent about it.
const deaf = 30 * second

var newcomer = stranger{index: 241, addr: "198.18.7.2", mac: "ba:11:22:33:44:02"}

// loses makes etcd lose data, while it is stopped and the podlaneds of the last nodes are away. So many strangers are
// peers afterwards.
func (b *bed) loses(t *testing.T, lose func(*testing.T, *lab.Lab), away, strangers int) {
	t.Helper()
	traffic, before := b.flood(t), keysOf(t, b.Lab)
	var kernels []*cluster.Monitor
	for _, n := range b.Nodes {
		kernels = append(kernels, cluster.WatchKernel(t, n.Place))
	}
	for _, n := range b.Nodes[len(b.Nodes)-away:] {
		cluster.Stop(t, n)
	}
	stopEtcd(t, b.Lab)
	lose(t, b.Lab)
	cluster.Check(t, b.Etcd.Start(cluster.Within(t)))
	began := time.Now()
	newcomer.put(t, b.Lab)
	for _, n := range b.Nodes[:len(b.Nodes)-away] {
		newcomer.await(t, n, deaf, true)
	}
	for _, n := range b.Nodes[len(b.Nodes)-away:] { // the others have had the time to forget it
		cluster.Check(t, n.Launch(cluster.Within(t)))
		newcomer.await(t, n, deaf, true)
	}
	t.Logf("a change after the loss is known everywhere after at most %v", since(began))
	cluster.Until(t, deaf, "all keys of nodes are back", func() (bool, string) {
		lost := lacking(before, keysOf(t, b.Lab))
		return lost == "", lost
	})
	t.Logf("all keys are back after at most %v", since(began))
	cluster.AwaitPeers(t, b.Lab, soon, len(b.Nodes)-1+strangers+1)
	for i, k := range kernels {
		expectNoRemoval(t, b.Nodes[i], k)
	}
	newcomer.leave(t, b.Lab)
	for _, n := range b.Nodes {
		newcomer.await(t, n, noticed, false)
	}
	traffic.ExpectNothingLost(t)
}

var (
	left = stranger{index: 242, addr: "198.18.7.3", mac: "ba:11:22:33:44:03"}
	came = stranger{index: 243, addr: "198.18.7.4", mac: "ba:11:22:33:44:04"}
)

// growBed makes a cluster of which etcd has a backup from before the last node and a peer came and another peer left.
func growBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{Lab: cluster.Build(t, lab.Options{Nodes: 3, IPv6: true, Config: dualStack, EtcdMembers: 3})}
	cluster.Check(t, b.SetConfig(cluster.Within(t), dualStack))
	for _, n := range b.Nodes[:2] {
		cluster.Check(t, n.Start(cluster.Within(t)))
	}
	left.put(t, b.Lab)
	stopEtcd(t, b.Lab)
	for i := range b.Etcd.Endpoints() {
		cluster.Check(t, b.Etcd.Save(i+1, "backup"))
	}
	cluster.Check(t, b.Etcd.Start(cluster.Within(t)))
	left.leave(t, b.Lab)
	came.put(t, b.Lab)
	cluster.Check(t, b.Nodes[2].Start(cluster.Within(t)))
	cluster.Check(t, b.AddPods(cluster.Within(t), 2))
	cluster.AwaitPeers(t, b.Lab, soon, len(b.Nodes)-1+1)
	return b
}

// expectMemory expects the peer that etcd does not know any more to be kept, and said to be; and the one that is back in
// etcd to be a peer again.
func (b *bed) expectMemory(t *testing.T) {
	t.Helper()
	for _, n := range b.Nodes {
		came.await(t, n, 0, true)
		left.await(t, n, soon, true)
		cluster.AwaitStatus(t, n, soon, "it tells of the peer that is kept", func(s cluster.Status) bool {
			return slices.Contains(s.Notes, "etcd lost data: podlaned keeps 1 peers that are missing from it")
		})
	}
}

func wipe(t *testing.T, l *lab.Lab) {
	t.Helper()
	for i := range l.Etcd.Endpoints() {
		cluster.Check(t, l.Etcd.Wipe(i+1))
	}
}

func restore(t *testing.T, l *lab.Lab) {
	t.Helper()
	for i := range l.Etcd.Endpoints() {
		cluster.Check(t, l.Etcd.Load(i+1, "backup"))
	}
}

func revisionOf(t *testing.T, l *lab.Lab) (revision int64) {
	t.Helper()
	change(t, func(ctx context.Context) error {
		r, err := l.Etcd.Client.Get(ctx, lab.DefaultPrefix)
		if err == nil {
			revision = r.Header.Revision
		}
		return err
	})
	return revision
}

// expectNoRemoval holds what was written to a node's kernel to be additions. Of nftables only the peers come and go: as
// elements of sets, which are deleted by message 14 (nf_tables.h, NFT_MSG_DELSETELEM).
func expectNoRemoval(t *testing.T, n *lab.Node, k *cluster.Monitor) {
	t.Helper()
	for _, change := range k.Changes(t) {
		if strings.Contains(change, "deleted") || change == "nftables message 14" {
			t.Errorf("%s: a removal: %s", n.Name, change)
		}
	}
}

// keysOf is the configuration and the leases of the nodes, with their values.
func keysOf(t *testing.T, l *lab.Lab) (keys map[string]string) {
	t.Helper()
	cluster.Until(t, soon, "a list of etcd", func() (_ bool, last string) {
		var err error
		keys, err = l.Etcd.List(cluster.Bounded(t, 3*second), lab.DefaultPrefix)
		return err == nil, fmt.Sprint(err)
	})
	maps.DeleteFunc(keys, func(key, _ string) bool { return strings.HasPrefix(key, lab.DefaultPrefix+"/claims/") }) // they run out
	for key, value := range keys {
		var compact bytes.Buffer // as the saved state has it
		cluster.Check(t, json.Compact(&compact, []byte(value)))
		keys[key] = compact.String()
	}
	maps.DeleteFunc(keys, func(_, value string) bool { return strings.Contains(value, `"VtepMAC":"ba:11:`) }) // strangers
	return keys
}

// lacking is what is not as it was before.
func lacking(before, now map[string]string) (text string) {
	for key, value := range before {
		if now[key] != value {
			text += fmt.Sprintf("%s: %q, before %q\n", key, now[key], value)
		}
	}
	return text
}

// stopEtcd kills all members. What they have acknowledged is on their disks.
func stopEtcd(t *testing.T, l *lab.Lab) {
	t.Helper()
	for i := range l.Etcd.Endpoints() {
		t.Cleanup(func() { cluster.Check(t, l.Etcd.Launch(i+1)) })
		cluster.Check(t, l.Etcd.Kill(i+1))
	}
}
