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

// etcd loses all its data while podlaned runs everywhere, on all nodes but one, or nowhere. The nodes have not changed,
// so they restore everything. Nothing is removed from a kernel.
var wipeFaults = []fault{
	{"etcd is wiped", func(t *testing.T, b *bed) { b.losesData(t, wipe, 0, 0) }},
	{"etcd is wiped while a podlaned is away", func(t *testing.T, b *bed) { b.losesData(t, wipe, 1, 0) }},
	{"etcd is wiped while all podlaneds are away", func(t *testing.T, b *bed) { b.losesData(t, wipe, 3, 0) }},
}

func TestEtcdIsWiped(t *testing.T) { runFaults(t, wipeFaults) }

// etcd is restored from a backup. It lacks a node and a peer, and contains a peer that has left since.
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
			b := bedWithBackup(t)
			b.losesData(t, restore, c.away, 2)
			b.expectRetained(t)
		})
	}
	// The nodes reach etcd again at a higher revision than they have seen, but with another history.
	t.Run("while the nodes are cut off and a podlaned is away, and goes on from there", func(t *testing.T) {
		b := bedWithBackup(t)
		end := cutOffNodes(allNodes)(t, b)
		before := revisionOf(t, b.Lab)
		b.losesData(t, func(t *testing.T, l *lab.Lab) {
			restore(t, l)
			cluster.Check(t, l.Etcd.Start(cluster.Within(t)))
			for i := 0; revisionOf(t, l) <= before+10; i++ {
				change(t, func(ctx context.Context) error { return l.Etcd.Put(ctx, fmt.Sprint("/elsewhere/", i), "") })
			}
			end()
		}, 1, 2)
		b.expectRetained(t)
	})
}

// dataLossLimit is the time to notice that etcd lost data. A watch does not report it.
const dataLossLimit = 30 * second

var newcomer = etcdPeer{index: 241, addr: "198.18.7.2", mac: "ba:11:22:33:44:02"}

// losesData makes etcd lose data while it is stopped and podlaned is stopped on the last nodes. Afterwards there are so
// many extra peers.
func (b *bed) losesData(t *testing.T, lose func(*testing.T, *lab.Lab), away, extraPeers int) {
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
		newcomer.await(t, n, dataLossLimit, true)
	}
	for _, n := range b.Nodes[len(b.Nodes)-away:] { // the others have had the time to remove it
		cluster.Check(t, n.Launch(cluster.Within(t)))
		newcomer.await(t, n, dataLossLimit, true)
	}
	t.Logf("all nodes have a change after the loss after at most %v", since(began))
	cluster.Until(t, dataLossLimit, "all keys of nodes are back", func() (bool, string) {
		lost := missing(before, keysOf(t, b.Lab))
		return lost == "", lost
	})
	t.Logf("all keys are back after at most %v", since(began))
	cluster.AwaitPeers(t, b.Lab, soon, len(b.Nodes)-1+extraPeers+1)
	for i, k := range kernels {
		expectNoRemoval(t, b.Nodes[i], k)
	}
	newcomer.leave(t, b.Lab)
	for _, n := range b.Nodes {
		newcomer.await(t, n, etcdLimit, false)
	}
	traffic.ExpectNothingLost(t)
}

var (
	departedPeer = etcdPeer{index: 242, addr: "198.18.7.3", mac: "ba:11:22:33:44:03"}
	joinedPeer   = etcdPeer{index: 243, addr: "198.18.7.4", mac: "ba:11:22:33:44:04"}
)

// bedWithBackup makes a cluster and a backup of etcd that is older than the last node. After the backup a peer joined
// and another left.
func bedWithBackup(t *testing.T) *bed {
	t.Helper()
	b := &bed{Lab: cluster.Build(t, lab.Options{Nodes: 3, IPv6: true, Config: cluster.DualStack, EtcdMembers: 3})}
	cluster.Check(t, b.SetConfig(cluster.Within(t), cluster.DualStack))
	for _, n := range b.Nodes[:2] {
		cluster.Check(t, n.Start(cluster.Within(t)))
	}
	departedPeer.put(t, b.Lab)
	stopEtcd(t, b.Lab)
	for i := range b.Etcd.Endpoints() {
		cluster.Check(t, b.Etcd.Save(i+1, "backup"))
	}
	cluster.Check(t, b.Etcd.Start(cluster.Within(t)))
	departedPeer.leave(t, b.Lab)
	joinedPeer.put(t, b.Lab)
	cluster.Check(t, b.Nodes[2].Start(cluster.Within(t)))
	cluster.Check(t, b.AddPods(cluster.Within(t), 2))
	cluster.AwaitPeers(t, b.Lab, soon, len(b.Nodes)-1+1)
	return b
}

// expectRetained expects that the nodes keep the peer that etcd lost, and report it. The peer that is back in etcd must
// be a peer again.
func (b *bed) expectRetained(t *testing.T) {
	t.Helper()
	for _, n := range b.Nodes {
		joinedPeer.await(t, n, 0, true)
		departedPeer.await(t, n, soon, true)
		cluster.AwaitStatus(t, n, soon, "a note on the retained peer", func(s cluster.Status) bool {
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

// expectNoRemoval expects only additions to a node's kernel. In nftables only the peers change, as elements of sets.
// Message 14 deletes them (nf_tables.h, NFT_MSG_DELSETELEM).
func expectNoRemoval(t *testing.T, n *lab.Node, k *cluster.Monitor) {
	t.Helper()
	for _, change := range k.Changes(t) {
		if strings.Contains(change, "deleted") || change == "nftables message 14" {
			t.Errorf("%s: unexpected removal: %s", n.Name, change)
		}
	}
}

// keysOf returns the configuration and the leases of the nodes, with their values.
func keysOf(t *testing.T, l *lab.Lab) (keys map[string]string) {
	t.Helper()
	cluster.Until(t, soon, "a list of etcd", func() (_ bool, last string) {
		var err error
		keys, err = l.Etcd.List(cluster.Bounded(t, 3*second), lab.DefaultPrefix)
		return err == nil, fmt.Sprint(err)
	})
	maps.DeleteFunc(keys, func(key, _ string) bool { return strings.HasPrefix(key, lab.DefaultPrefix+"/claims/") }) // they expire
	for key, value := range keys {
		var compact bytes.Buffer // as in the saved state
		cluster.Check(t, json.Compact(&compact, []byte(value)))
		keys[key] = compact.String()
	}
	maps.DeleteFunc(keys, func(_, value string) bool { return strings.Contains(value, `"VtepMAC":"ba:11:`) }) // peers that exist only in etcd
	return keys
}

// missing returns the keys that have changed or are gone.
func missing(before, now map[string]string) (text string) {
	for key, value := range before {
		if now[key] != value {
			text += fmt.Sprintf("%s: %q, before %q\n", key, now[key], value)
		}
	}
	return text
}

// stopEtcd kills all members. Their disks have everything that they acknowledged.
func stopEtcd(t *testing.T, l *lab.Lab) {
	t.Helper()
	for i := range l.Etcd.Endpoints() {
		t.Cleanup(func() { cluster.Check(t, l.Etcd.Launch(i+1)) })
		cluster.Check(t, l.Etcd.Kill(i+1))
	}
}
