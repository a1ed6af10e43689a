package etcd

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/podlane/podlane/subnet/machine"
)

// Is the mirror the same as etcd?

// A difference can also mean that the watch is a little behind. If etcd has the same history as the mirror, a difference
// counts only if maxMismatches checks in a row find one.
const (
	maxMismatches = 3
	recheckAfter  = time.Second
)

// check compares etcd with the mirror: the revision, our own key, the lease that was written last, and the number of keys.
// It finds what a watch does not show: etcd has lost data, and the watch waits at a revision that etcd no longer has.
func (r *runner) check(ctx context.Context) error {
	r.store.files.refresh()
	r.drain()
	if r.schedule.has(listAll) {
		r.scheduleCheck()
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.store.timeout)
	defer cancel()
	want := r.machine.Expect()
	ops := []clientv3.Op{
		clientv3.OpGet(r.store.key(machine.Leases), clientv3.WithPrefix(), clientv3.WithCountOnly()),
		clientv3.OpGet(r.store.key(want.Newest), clientv3.WithKeysOnly()),
	}
	if want.Own != "" {
		ops = append(ops, clientv3.OpGet(r.store.key(want.Own), clientv3.WithKeysOnly()))
	}
	resp, err := r.client.Txn(ctx).Then(ops...).Commit()
	if err != nil {
		return r.store.explain("check leases", err)
	}
	r.answered()
	r.scheduleCheck()
	if r.machine.WentBack(resp.Header.Revision) {
		r.relist()
		return nil
	}
	same := resp.Responses[0].GetResponseRange().GetCount() == want.Keys && modified(resp, 1) == want.Written &&
		(want.Own == "" || modified(resp, 2) == want.OwnWrite)
	if !same {
		return r.mismatch(ctx)
	}
	r.listing.mismatches = 0
	r.machine.Reached(resp.Header.Revision)
	r.health.checked(time.Now())
	return nil
}

// modified returns the revision of the key that one operation of a transaction has read. 0: it does not exist.
func modified(resp *clientv3.TxnResponse, operation int) int64 {
	if kvs := resp.Responses[operation].GetResponseRange().GetKvs(); len(kvs) > 0 {
		return kvs[0].ModRevision
	}
	return 0
}

// mismatch lists again, unless the watch may be behind.
func (r *runner) mismatch(ctx context.Context) error {
	history, _, err := r.compareHistory(ctx)
	if err != nil {
		r.stopWatch() // else the watch advances the mirror until the list, and the difference is no longer visible
		r.relist()
		return err
	}
	r.listing.mismatches++
	if history != sameHistory || r.listing.mismatches == maxMismatches {
		r.relist()
	}
	r.schedule.set(checkStore, time.Now().Add(recheckAfter))
	return nil
}

// maxCompares bounds the comparisons in a row. The first one usually makes the connection, and the second one is then the last.
const maxCompares = 3

// compareFirst makes the next attempt compare etcd with the mirror before a watch starts. A new connection may lead to an etcd
// that was restored from a backup. A watch would apply the changes of that etcd to the mirror, and could hide the difference.
// Example: one key was lost, another one is back, and a third one is new. Then the numbers of keys are the same. So is the key
// that was written last.
func (r *runner) compareFirst() {
	if r.machine.Listed() {
		r.mustCompare = true
		r.schedule.set(checkStore, time.Now())
	}
}

// compareAfterReconnect compares the history of etcd with the mirror's, while no watch changes the mirror. Without a history it
// compares the newest keys.
func (r *runner) compareAfterReconnect(ctx context.Context) error {
	var history historyMatch
	var revision int64
	var err error
	for range maxCompares {
		r.store.newConnection() // this comparison begins after it
		history, revision, err = r.compareHistory(ctx)
		if err != nil || len(r.store.connected) == 0 {
			break
		}
	}
	switch {
	case err != nil:
		return err
	case history == otherHistory, history == sameHistory && r.machine.WentBack(revision):
		r.relist()
	case history == sameHistory:
		r.answered()
		r.scheduleCheck()
	default:
		if err := r.check(ctx); err != nil {
			return err
		}
	}
	r.mustCompare = false
	return nil
}

// historyMatch is the result of comparing the history of etcd with the mirror's. If they differ, etcd was restored from a
// backup, and its revision may have passed the mirror's since. Revisions alone do not show that.
type historyMatch int

const (
	unknownHistory historyMatch = iota // etcd has compacted it, or the mirror is not of one revision currently
	sameHistory
	otherHistory
)

// compareHistory compares etcd, as it was at the mirror's revision, with the mirror. revision is etcd's newest one, if the
// history is the same.
func (r *runner) compareHistory(ctx context.Context) (history historyMatch, revision int64, err error) {
	if !r.machine.Listed() {
		return unknownHistory, 0, nil
	}
	want := r.machine.Expect()
	if !want.Comparable {
		return unknownHistory, 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.store.timeout)
	defer cancel()
	at := clientv3.WithRev(want.Revision)
	resp, err := r.client.Txn(ctx).Then(
		clientv3.OpGet(r.store.key(machine.Leases), clientv3.WithPrefix(), clientv3.WithCountOnly(), at),
		clientv3.OpGet(r.store.key(want.Newest), clientv3.WithKeysOnly(), at),
	).Commit()
	switch {
	case errors.Is(err, rpctypes.ErrFutureRev):
		return otherHistory, 0, nil
	case errors.Is(err, rpctypes.ErrCompacted):
		return unknownHistory, 0, nil
	case err != nil:
		return unknownHistory, 0, r.store.explain("read history", err)
	}
	if resp.Responses[0].GetResponseRange().GetCount() == want.Keys && (want.Written == 0 || modified(resp, 1) == want.Written) {
		return sameHistory, resp.Header.Revision, nil
	}
	return otherHistory, 0, nil
}
