package etcd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

// oneSubnet is a network with only one pod subnet to choose.
const (
	oneSubnet     = `{"Network":"10.5.0.0/16","SubnetMin":"10.5.4.0","SubnetMax":"10.5.4.0"}`
	oneSubnetDual = `{"Network":"10.5.0.0/16","SubnetMin":"10.5.4.0","SubnetMax":"10.5.4.0",
		"EnableIPv6":true,"IPv6Network":"fd00:5::/48","IPv6SubnetMin":"fd00:5:0:4::","IPv6SubnetMax":"fd00:5:0:4::"}`
	theSubnet = "10.5.4.0-24"
	goneNode  = 9 // the node that had the pod subnet when the snapshot was made
)

// restored is an etcd that is restored from a snapshot in which a node's pod subnet belongs to other nodes.
type restored struct {
	etcd   *server
	backup string
	n      *node
	before State
}

// newRestored makes the snapshot and lets a node get the pod subnet after it. keys are the leases in the snapshot.
func newRestored(t *testing.T, config string, opts Options, keys map[string]string) *restored {
	t.Helper()
	r := &restored{etcd: startEtcd(t), backup: filepath.Join(t.TempDir(), "backup")}
	r.etcd.put("config", config)
	for key, value := range keys {
		r.etcd.put(subnets+key, value)
	}
	dir := r.etcd.dir
	r.etcd.stop()
	if err := os.CopyFS(r.backup, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	r.etcd.start(dir)
	for key := range keys {
		r.etcd.delete(subnets + key)
	}
	r.n = run(t, r.etcd.open(t), opts)
	r.before = r.n.held(t)
	return r
}

// goneNodeLease is the lease of a podlaned that is gone.
func goneNodeLease(t *testing.T, number int, key string) string {
	t.Helper()
	network, _, err := subnet.ParseNetwork([]byte(oneSubnetDual))
	if err != nil {
		t.Fatal(err)
	}
	pair, err := subnet.ParseKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(self(number).Lease(network, pair, subnet.Lease{}).Value())
}

func ghostOnly(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{theSubnet: goneNodeLease(t, goneNode, theSubnet)}
}

// restore restores the snapshot.
func (r *restored) restore() {
	r.etcd.stop()
	r.etcd.start(r.backup)
}

// takenBack waits until the node has its lease again.
func (r *restored) takenBack(t *testing.T, n *node) State {
	t.Helper()
	s := n.wait(t, "the lease again", func(s State) bool {
		own, _ := s.Set.Find(s.Own.Pair())
		return held(s) && own.Lease == r.before.Own && s.Losses > 0
	})
	if keys := r.etcd.keys(subnets); len(keys) != 1 || keys[r.before.Own.Pair().Key()].value != string(r.before.Own.Value()) {
		t.Errorf("in etcd %v", keys)
	}
	eventually(t, "no claim", func() bool { return len(r.etcd.keys(claims)) == 0 })
	return s
}

// staysLost checks, for several times the answer time, that the node does not take its pod subnet back.
func (r *restored) staysLost(t *testing.T, n *node, words string) {
	t.Helper()
	n.wait(t, "conflict", func(s State) bool { return strings.Contains(s.Conflict, words) && s.Losses > 0 })
	before := r.etcd.keys(subnets)
	for until := time.Now().Add(4 * quick(1).AnswerTime); time.Now().Before(until); {
		if s := n.next(t); s.Conflict == "" || s.Held || s.Own != r.before.Own {
			t.Fatalf("conflict %q, held %v, own %v", s.Conflict, s.Held, s.Own)
		}
	}
	for key, was := range before {
		if now := r.etcd.keys(subnets)[key]; now.value != was.value {
			t.Errorf("%s is now %s, and was %s", key, now.value, was.value)
		}
	}
}

func TestPodSubnetOfAGoneNodeInARestoredSnapshotIsTakenBack(t *testing.T) {
	t.Parallel()
	r := newRestored(t, oneSubnet, quick(1), ghostOnly(t))
	r.restore()
	began := time.Now()
	r.n.wait(t, "conflict", func(s State) bool { return strings.Contains(s.Conflict, "n9") && s.Own == r.before.Own })
	s := r.takenBack(t, r.n)
	if took := time.Since(began); took < quick(1).AnswerTime {
		t.Errorf("after %v: the holder was not given %v to answer", took, quick(1).AnswerTime)
	}
	if want := "pod subnet 10.5.4.0/24 was taken back from node n9 (id id-9), which did not answer: etcd was restored"; !strings.Contains(strings.Join(s.Warnings, " "), want) {
		t.Errorf("warnings %q do not say %q", s.Warnings, want)
	}
	if s.Expiry.IsZero() || s.Expiry.Before(time.Now().Add(50*time.Minute)) {
		t.Errorf("the lease lasts until %v", s.Expiry)
	}
}

func TestPodSubnetIsTakenBackBySavedState(t *testing.T) {
	t.Parallel()
	r := newRestored(t, oneSubnet, quick(1), ghostOnly(t))
	saved := r.before.Save()
	r.n.stop(t)
	r.restore()
	opts := quick(1)
	opts.Saved, opts.Self.Previous, opts.Self.InUse = &saved, r.before.Own.Pair(), true
	r.takenBack(t, run(t, r.etcd.open(t), opts))
}

// Each half belongs to another node, under another key.
func TestHalvesOfGoneNodesInARestoredSnapshotAreTakenBack(t *testing.T) {
	t.Parallel()
	const v6 = "0.0.0.0-0&fd00:5:0:4::-64"
	r := newRestored(t, oneSubnetDual, quick(1), map[string]string{theSubnet: goneNodeLease(t, goneNode, theSubnet), v6: goneNodeLease(t, 8, v6)})
	r.restore()
	r.takenBack(t, r.n)
}

// An older podlaned does not know this question. It answers each claim with its own mark by writing its lease.
func TestLiveHolderOfARestoredSnapshotKeepsThePodSubnet(t *testing.T) {
	t.Parallel()
	opts := quick(1)
	opts.AnswerTime = 5 * time.Second
	r := newRestored(t, oneSubnet, opts, ghostOnly(t))
	r.restore()
	eventually(t, "a claim that the holder answers", func() bool {
		for _, k := range r.etcd.keys(claims) {
			if strings.Contains(k.value, self(goneNode).Node.ID) {
				return true
			}
		}
		return false
	})
	r.etcd.put(subnets+theSubnet, goneNodeLease(t, goneNode, theSubnet))
	r.n.wait(t, "the answer", func(s State) bool { own, _ := s.Set.Find(s.Own.Pair()); return own.Modified > own.Created })
	eventually(t, "no claim any more", func() bool { return len(r.etcd.keys(claims)) == 0 })
	r.staysLost(t, r.n, "n9")
}

func TestLivePodlanedAnswersForItsPodSubnet(t *testing.T) {
	t.Parallel()
	opts := quick(1)
	opts.AnswerTime = 20 * time.Second
	r := newRestored(t, oneSubnet, opts, ghostOnly(t))
	r.restore()
	holder := run(t, r.etcd.open(t), quick(goneNode))
	holder.held(t)
	r.staysLost(t, r.n, "n9")
	holder.held(t)
}

func TestLeaseOfFlannelIsNeverTakenBack(t *testing.T) {
	t.Parallel()
	r := newRestored(t, oneSubnet, quick(1), map[string]string{
		theSubnet: `{"PublicIP":"192.168.9.9","BackendType":"vxlan","BackendData":{"VtepMAC":"02:00:00:00:00:99"}}`,
	})
	r.restore()
	r.staysLost(t, r.n, "flannel")
}

// The holder's lease ends while it is asked, and a new node is faster than we are.
func TestNewcomerWithThePodSubnetKeepsIt(t *testing.T) {
	t.Parallel()
	r := newRestored(t, oneSubnet, quick(1), ghostOnly(t))
	r.restore()
	eventually(t, "a question", func() bool { return len(r.etcd.keys(claims)) > 0 })
	key := DefaultPrefix + "/" + subnets + theSubnet
	_, err := r.etcd.client().Txn(t.Context()).Then(clientv3.OpPut(key, goneNodeLease(t, 5, theSubnet))).Commit()
	if err != nil {
		t.Fatal(err)
	}
	r.staysLost(t, r.n, "n5")
}

// Keys were written after the restore and before we saw it: the revisions alone do not show which.
func TestPodSubnetIsNotTakenBackInDoubt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		dir   func(*restored) string
		write func(*server)
		words string
	}{
		"the revision is beyond what was seen": {
			func(r *restored) string { return r.backup },
			func(etcd *server) {
				for range 20 {
					etcd.put("other", "x")
				}
			}, "n9",
		},
		"the store is empty, and a newcomer has joined": {
			func(*restored) string { return t.TempDir() },
			func(etcd *server) { etcd.put(subnets+theSubnet, goneNodeLease(t, 5, theSubnet)) }, "n5",
		},
		"a node that did not know us wrote its key again before": {
			func(r *restored) string { return r.backup },
			func(etcd *server) {
				etcd.put(subnets+"10.5.7.0-24", goneNodeLease(t, 7, "10.5.7.0-24"))
				etcd.put(subnets+theSubnet, goneNodeLease(t, 5, theSubnet))
			}, "n5",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRestored(t, oneSubnet, quick(1), ghostOnly(t))
			r.etcd.put(subnets+"10.5.7.0-24", goneNodeLease(t, 7, "10.5.7.0-24")) // a peer that the snapshot does not know
			r.n.wait(t, "the peer", func(s State) bool { return len(s.Set.Records) == 2 })
			r.etcd.stop()
			public := r.etcd.url
			r.etcd.url = freeURL(t, "http")
			dir := c.dir(r)
			r.etcd.start(dir)
			c.write(r.etcd)
			r.etcd.stop()
			r.etcd.url = public
			r.etcd.start(dir)
			r.staysLost(t, r.n, c.words)
		})
	}
}

// Two nodes held it, one after the other, and both claim it. One is faster.
func TestOneOfTwoClaimantsTakesThePodSubnetBack(t *testing.T) {
	t.Parallel()
	r := newRestored(t, oneSubnet, quick(1), ghostOnly(t))
	saved := r.before.Save()
	r.n.stop(t)
	r.etcd.delete(subnets + theSubnet)
	second := run(t, r.etcd.open(t), quick(2))
	other := second.held(t).Save()
	second.stop(t)
	r.restore()
	var running []*node
	for i, kept := range []*store.Saved{&saved, &other} {
		opts := quick(i + 1)
		opts.Saved, opts.Self.Previous, opts.Self.InUse = kept, r.before.Own.Pair(), true
		running = append(running, run(t, r.etcd.open(t), opts))
	}
	eventually(t, "one holds the lease", func() bool {
		v := r.etcd.keys(subnets)[theSubnet].value
		return !strings.Contains(v, "id-9") && v != ""
	})
	winner, loser := running[0], running[1]
	if strings.Contains(r.etcd.keys(subnets)[theSubnet].value, "id-2") {
		winner, loser = loser, winner
	}
	s := winner.held(t)
	r.before.Own = loser.wait(t, "conflict", func(s State) bool { return strings.Contains(s.Conflict, winner.name) }).Own
	r.staysLost(t, loser, winner.name)
	if now := winner.held(t); now.Own != s.Own {
		t.Errorf("the winner has %v, before %v", now.Own, s.Own)
	}
}

// The holder was cut off from etcd while it was asked. Its pods run. The node that took the pod subnet back is stopped when
// the holder returns.
func TestHolderThatWasCutOffFindsTheConflict(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", oneSubnet)
	holder := run(t, etcd.open(t), quick(goneNode))
	holders := holder.held(t)
	saved := holders.Save()
	r := &restored{etcd: etcd, backup: filepath.Join(t.TempDir(), "backup")}
	dir := etcd.dir
	holder.stop(t) // it is cut off: its pods run, and its state is unchanged
	etcd.stop()
	if err := os.CopyFS(r.backup, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	etcd.start(dir)
	for range 10 {
		etcd.put("other", "x")
	}
	etcd.delete(subnets + theSubnet)
	r.n = run(t, etcd.open(t), quick(1))
	r.before = r.n.held(t)
	r.restore()
	r.takenBack(t, r.n)
	r.n.stop(t)
	opts := quick(goneNode)
	saved.Revision += 100 // it has seen other nodes' writes to other keys
	opts.Saved, opts.Self.Previous, opts.Self.InUse = &saved, holders.Own.Pair(), true
	r.before = holders
	r.staysLost(t, run(t, etcd.open(t), opts), "n1")
}
