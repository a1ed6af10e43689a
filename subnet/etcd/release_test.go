package etcd

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/podlane/podlane/subnet"
)

// recordsOf returns all leases in etcd.
func recordsOf(t *testing.T, store *Store) []subnet.Record {
	t.Helper()
	set, err := store.Leases(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return set.Records
}

func TestReleaseDeletesTheLeaseOfAGoneNodeOnly(t *testing.T) {
	etcd, living, s := holder(t, quick(1))
	gone := leaseOf(etcd, self(2), "10.5.50.0-24")
	store := etcd.open(t)
	released, err := store.Release(t.Context(), recordsOf(t, store), 2*time.Second)
	if err != nil || len(released) != 1 || released[0].Lease != gone {
		t.Errorf("released %v, %v; want %v alone", released, err, gone)
	}
	left := recordsOf(t, store)
	if len(left) != 1 || left[0].Lease != s.Own {
		t.Errorf("left %v, want %v", left, s.Own)
	}
	if now := living.held(t); now.Own != s.Own || now.Losses != 0 {
		t.Errorf("the living node has %v now, and saw %d losses", now.Own, now.Losses)
	}
	if c := etcd.keys(claims); len(c) != 0 {
		t.Errorf("claims %v are left behind", c)
	}
}

func TestReleaseOfMoreThanOneTransactionHolds(t *testing.T) {
	etcd := startEtcd(t)
	store := etcd.open(t)
	const many = maxOps + 2
	for i := range many {
		leaseOf(etcd, self(i), fmt.Sprintf("10.5.%d.0-24", i+1))
	}
	if released, err := store.Release(t.Context(), recordsOf(t, store), time.Millisecond); err != nil || len(released) != many {
		t.Errorf("%d released, %v; want %d", len(released), err, many)
	}
	if left := etcd.keys(""); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

func TestReleaseThatDeletesNothing(t *testing.T) {
	etcd := startEtcd(t)
	store := etcd.open(t)
	leaseOf(etcd, self(2), "10.5.50.0-24")
	read := recordsOf(t, store)
	// It is interrupted while it waits for answers.
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if released, err := store.Release(ctx, read, time.Minute); !errors.Is(err, context.DeadlineExceeded) || len(released) != 0 {
		t.Errorf("interrupted: released %v, %v", released, err)
	}
	if left := etcd.keys(""); len(left) != 1 {
		t.Errorf("interrupted: left %v, want the lease and no claim", left)
	}
	// The lease was written since it was read.
	leaseOf(etcd, self(3), "10.5.50.0-24")
	if released, err := store.Release(t.Context(), read, time.Millisecond); err != nil || len(released) != 0 {
		t.Errorf("written since: released %v, %v", released, err)
	}
	if left := recordsOf(t, store); len(left) != 1 || left[0].Node != self(3).Node {
		t.Errorf("written since: left %v", left)
	}
}
