package etcd

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A difference can also mean that the watch is a moment behind. Where etcd's history is the mirror's, it takes this many
// checks in a row that find one.
const (
	maxDoubts  = 3
	doubtEvery = time.Second
)

// check asks etcd whether it still is where the mirror is: its revision, our own key, the lease written last, and how
// many keys there are. It is for what a watch does not tell: that etcd lost data and the watch is on a revision that does
// not exist.
func (r *runner) check(ctx context.Context) error {
	r.store.files.refresh()
	r.drain()
	if !r.listAt.IsZero() {
		r.checkAt = r.checkIn()
		return nil
	}
	s := &r.session
	ctx, cancel := context.WithTimeout(ctx, r.store.timeout)
	defer cancel()
	newest, written := s.mirror.newest()
	all := r.store.leaseKey("")
	ops := []clientv3.Op{
		clientv3.OpGet(all, clientv3.WithPrefix(), clientv3.WithCountOnly()),
		clientv3.OpGet(r.store.leaseKey(newest), clientv3.WithKeysOnly()),
	}
	own, held := s.mirrored()
	if held {
		ops = append(ops, clientv3.OpGet(r.store.leaseKey(s.own.key()), clientv3.WithKeysOnly()))
	}
	resp, err := r.client.Txn(ctx).Then(ops...).Commit()
	if err != nil {
		return r.store.explain("check leases", err)
	}
	r.answered()
	r.checkAt = r.checkIn()
	modified := func(i int) int64 {
		if kvs := resp.Responses[i].GetResponseRange().GetKvs(); len(kvs) > 0 {
			return kvs[0].ModRevision
		}
		return 0
	}
	if s.lower(resp.Header.Revision); resp.Header.Revision < s.seen {
		r.relist()
		return nil
	}
	if resp.Responses[0].GetResponseRange().GetCount() != s.mirror.keys() || modified(1) != written ||
		held && modified(2) != own.record.Modified {
		return r.doubt(ctx)
	}
	r.doubts, s.seen = 0, resp.Header.Revision
	r.hearing.checked(time.Now())
	return nil
}

// doubt lists again, unless the watch may just be behind.
func (r *runner) doubt(ctx context.Context) error {
	then, err := r.past(ctx)
	if err != nil {
		r.unfollow() // else the watch moves the mirror on until the list, to where the difference no longer shows
		r.relist()
		return err
	}
	r.doubts++
	if then != samePast || r.doubts == maxDoubts {
		r.relist()
	}
	r.checkAt = time.Now().Add(doubtEvery)
	return nil
}

// past is whether the history of etcd is the mirror's. Where it is not, etcd went back to a backup, and has come past the revision
// that we saw by another way: revisions do not tell.
type past int

const (
	unknownPast past = iota // it is compacted, or the mirror is not of one revision just now
	samePast
	otherPast
)

// past looks at etcd as it was at the mirror's own revision.
func (r *runner) past(ctx context.Context) (past, error) {
	m := r.session.mirror
	if m == nil || len(m.gone) > 0 {
		return unknownPast, nil
	}
	newest, written := m.newest()
	if written > m.revision { // of what our own call has shown the watch has not told yet
		return unknownPast, nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.store.timeout)
	defer cancel()
	at := clientv3.WithRev(m.revision)
	resp, err := r.client.Txn(ctx).Then(
		clientv3.OpGet(r.store.leaseKey(""), clientv3.WithPrefix(), clientv3.WithCountOnly(), at),
		clientv3.OpGet(r.store.leaseKey(newest), clientv3.WithKeysOnly(), at),
	).Commit()
	switch {
	case errors.Is(err, rpctypes.ErrFutureRev):
		return otherPast, nil
	case errors.Is(err, rpctypes.ErrCompacted):
		return unknownPast, nil
	case err != nil:
		return unknownPast, r.store.explain("read history", err)
	}
	kvs := resp.Responses[1].GetResponseRange().GetKvs()
	if resp.Responses[0].GetResponseRange().GetCount() == m.keys() && (written == 0 || len(kvs) == 1 && kvs[0].ModRevision == written) {
		return samePast, nil
	}
	return otherPast, nil
}
