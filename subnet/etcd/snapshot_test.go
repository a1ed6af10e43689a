package etcd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/subnet"
)

// oneSubnet is a network with only one pod subnet.
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

// newRestored makes the snapshot, and then a node leases the pod subnet. keys are the leases in the snapshot.
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

// goneNodeLease returns the lease of a podlaned that is gone.
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

func goneLease(t *testing.T) map[string]string {
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

// staysLost checks for four answer times that the node does not take its pod subnet back.
func (r *restored) staysLost(t *testing.T, n *node, words string) {
	t.Helper()
	n.wait(t, "conflict", func(s State) bool { return strings.Contains(s.Conflict, words) && s.Losses > 0 })
	before := r.etcd.keys(subnets)
	for until := time.Now().Add(4 * quick(1).AnswerTime); time.Now().Before(until); {
		s := n.next(t)
		expectLease(t, r.before.Own, s.Own)
		if s.Conflict == "" || s.Held {
			t.Fatalf("conflict %q, held %v: want a conflict", s.Conflict, s.Held)
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
	r := newRestored(t, oneSubnet, quick(1), goneLease(t))
	r.restore()
	began := time.Now()
	r.n.wait(t, "conflict", func(s State) bool { return strings.Contains(s.Conflict, "n9") && s.Own == r.before.Own })
	s := r.takenBack(t, r.n)
	if took := time.Since(began); took < quick(1).AnswerTime {
		t.Errorf("after %v: the holder was not given %v to answer", took, quick(1).AnswerTime)
	}
	if want := "pod subnet 10.5.4.0/24 was taken back from node n9 (id id-9), which did not answer: etcd was restored"; !strings.Contains(strings.Join(s.Warnings, " "), want) {
		t.Errorf("warnings %q do not have %q", s.Warnings, want)
	}
	if s.Expiry.IsZero() || s.Expiry.Before(time.Now().Add(50*time.Minute)) {
		t.Errorf("the lease lasts until %v", s.Expiry)
	}
}

func TestLivePodlanedAnswersForItsPodSubnet(t *testing.T) {
	t.Parallel()
	opts := quick(1)
	opts.AnswerTime = 20 * time.Second
	r := newRestored(t, oneSubnet, opts, goneLease(t))
	r.restore()
	holder := run(t, r.etcd.open(t), quick(goneNode))
	holder.held(t)
	r.staysLost(t, r.n, "n9")
	holder.held(t)
}
