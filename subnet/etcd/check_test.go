package etcd

import (
	"os"
	"sync/atomic"
	"testing"

	"github.com/podlane/podlane/subnet"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The watch may be a little behind when etcd is compared with the mirror. Only a lasting difference makes a new list.
func TestOnlyALastingDifferenceIsListedAgain(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	store := etcd.open(t)
	r := newRunner(store, quick(1), func(State) {})
	var err error
	if r.client, err = store.connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	list := func() { // without a watch: the mirror does not change
		t.Helper()
		if err := r.list(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.stopWatch()
	}
	check := func(mismatches int, relist bool) {
		t.Helper()
		if err := r.check(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r.listing.mismatches != mismatches || r.schedule.has(listAll) != relist {
			t.Errorf("%d mismatches, to be listed: %v", r.listing.mismatches, r.schedule.has(listAll))
		}
	}
	list()
	check(0, false)
	for range 2 {
		leaseOf(etcd, self(2), "10.5.200.0-24")
		check(1, false)
		check(2, false)
		list() // as the watch would have brought it by now
		check(0, false)
	}
	leaseOf(etcd, self(3), "10.5.201.0-24")
	check(1, false)
	check(2, false)
	check(3, true)
	list()
	check(0, false)
	seen := etcd.revision()
	r.machine.Reached(seen + 100) // etcd went back
	check(0, true)
	list()

	// etcd lost its data and has passed the former revision: the difference counts at once.
	etcd.stop()
	etcd.start(t.TempDir())
	for etcd.revision() <= seen {
		etcd.put("config", ipv4Config)
	}
	eventually(t, "an answer", func() bool { _, _, err := r.compareHistory(t.Context()); return err == nil })
	check(1, true)
}

// etcd is restored from a backup and passes the former revision. One lease is lost, another one is back. A change comes before
// the first check succeeds. Then the numbers of keys are the same again, and so is the key that was written last.
func TestRestoredEtcdIsComparedBeforeItsChangesAreApplied(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	store := etcd.open(t)
	var refused atomic.Int32 // transactions since the restore; negative: they are not refused
	refused.Store(-1)
	intercept(store, func(_ *etcdserverpb.TxnRequest, commit func() error) error {
		if refused.Load() >= 0 {
			refused.Add(1)
			return status.Error(codes.Unavailable, "the connection broke")
		}
		return commit()
	})
	n := run(t, store, quick(1))
	n.held(t)
	back := leaseOf(etcd, self(2), "10.5.200.0-24")
	etcd.stop()
	backup, dir := t.TempDir(), etcd.dir
	if err := os.CopyFS(backup, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	etcd.start(dir)
	etcd.delete(subnets + "10.5.200.0-24")
	lost := leaseOf(etcd, self(3), "10.5.201.0-24")
	has := func(s State, wanted ...subnet.Lease) bool {
		for _, l := range wanted {
			if r, found := s.Set.Find(l.Pair()); !found || r.Lease != l {
				return false
			}
		}
		return true
	}
	n.wait(t, "the lease that will be lost", func(s State) bool { return len(s.Set.Records) == 2 && has(s, lost) && s.Watching && s.Err == nil })
	seen := etcd.revision()

	refused.Store(0)
	etcd.stop()
	etcd.start(backup)
	for etcd.revision() <= seen {
		etcd.put("other", "")
	}
	changed := leaseOf(etcd, self(4), "10.5.202.0-24")
	eventually(t, "refused calls", func() bool { return refused.Load() >= 5 })
	refused.Store(-1)
	n.wait(t, "all leases", func(s State) bool { return has(s, back, lost, changed) && s.Retained == 1 && s.Losses == 1 })
}
