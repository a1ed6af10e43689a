package etcd

import "testing"

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
	eventually(t, "an answer", func() bool { _, err := r.compareHistory(t.Context()); return err == nil })
	check(1, true)
}
