package etcd

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/podlane/podlane/subnet"
)

// execute does one step. That somebody else was faster is no error: it is in the mirror afterwards.
func (r *runner) execute(ctx context.Context, st step) error {
	switch st.verb {
	case create, write:
		err := r.put(ctx, st)
		if errors.Is(err, rpctypes.ErrLeaseNotFound) {
			r.ttl = 0 // the etcd lease we knew is gone
			err = r.put(ctx, st)
		}
		return err
	case giveBack:
		return r.giveBack(ctx, st)
	case ask:
		return r.ask(ctx)
	case putConfig:
		return r.putConfig(ctx)
	case wait:
	}
	return nil
}

// put creates the own key, or writes it over the record that stands there. A node that joins also makes sure that the
// configuration still is the one it chose by.
func (r *runner) put(ctx context.Context, st step) error {
	s := &r.session
	name := subnets + st.lease.Pair().Key()
	key, value := r.store.prefix+"/"+name, st.lease.Value()
	if _, err := subnet.ParseLease(st.lease.Pair().Key(), value); err != nil {
		return fmt.Errorf("%w: %w", errInvalidLease, err)
	}
	if err := r.needTTL(ctx, st); err != nil {
		return err
	}
	kv := &mvccpb.KeyValue{Value: value, CreateRevision: st.record.Created}
	op := clientv3.OpPut(key, string(value))
	if !st.reserved {
		kv.Lease = r.ttl
		op = clientv3.OpPut(key, string(value), clientv3.WithLease(clientv3.LeaseID(r.ttl)))
	}
	conditions := []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(key), "=", st.record.Modified)}
	if !s.own.established {
		conditions = append(conditions, clientv3.Compare(clientv3.ModRevision(r.store.configKey()), "=", s.mirror.config.revision))
	}
	resp, err := r.txn(ctx, "write "+key, conditions, op, name, configName)
	if err != nil || !resp.Succeeded {
		return err
	}
	kv.ModRevision = resp.Header.Revision
	if kv.CreateRevision == 0 {
		kv.CreateRevision = kv.ModRevision
	}
	s.mirror.put(name, kv)
	s.took(st.lease, subnet.Record{Modified: kv.ModRevision, TTLID: kv.Lease})
	s.own.expiry = r.expiry
	return nil
}

// txn commits op if the conditions hold; else it takes into the mirror what stands under the names instead.
func (r *runner) txn(ctx context.Context, doing string, conditions []clientv3.Cmp, op clientv3.Op, names ...string) (*clientv3.TxnResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, r.store.timeout)
	defer cancel()
	var gets []clientv3.Op
	for _, name := range names {
		gets = append(gets, clientv3.OpGet(r.store.prefix+"/"+name))
	}
	resp, err := r.client.Txn(ctx).If(conditions...).Then(op).Else(gets...).Commit()
	if err != nil {
		return nil, r.store.explain(doing, err)
	}
	r.session.seen = max(r.session.seen, resp.Header.Revision)
	if !resp.Succeeded {
		for i, name := range names {
			r.session.learn(name, resp.Responses[i].GetResponseRange().GetKvs(), resp.Header.Revision)
		}
	}
	return resp, nil
}

// learn takes in what a read at a revision has shown of one key.
func (s *session) learn(name string, found []*mvccpb.KeyValue, revision int64) {
	s.seen = max(s.seen, revision)
	if len(found) == 0 {
		s.mirror.forget(name, revision)
	} else {
		s.mirror.put(name, found[0])
	}
	if name == configName {
		s.readConfig()
	}
}

// look reads one key of which we do not know what became of it.
func (r *runner) look(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, r.store.timeout)
	defer cancel()
	resp, err := r.client.Get(ctx, r.store.prefix+"/"+name)
	if err != nil {
		return r.store.explain("read "+r.store.prefix+"/"+name, err)
	}
	r.session.learn(name, resp.Kvs, resp.Header.Revision)
	r.answered()
	return nil
}

// giveBack deletes the own key if it still is what we wrote.
func (r *runner) giveBack(ctx context.Context, st step) error {
	name := subnets + st.lease.Pair().Key()
	key := r.store.prefix + "/" + name
	resp, err := r.txn(ctx, "delete "+key,
		[]clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(key), "=", st.record.Modified)}, clientv3.OpDelete(key), name)
	if err != nil || !resp.Succeeded {
		return err
	}
	r.session.mirror.forget(name, resp.Header.Revision)
	if !r.session.own.established {
		r.session.abandon()
	}
	return nil
}

// putConfig puts back the configuration that etcd has lost, unless another node was faster.
func (r *runner) putConfig(ctx context.Context) error {
	s, key := &r.session, r.store.configKey()
	resp, err := r.txn(ctx, "write "+key,
		[]clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(key), "=", 0)}, clientv3.OpPut(key, string(s.config)), configName)
	if err == nil && resp.Succeeded {
		s.mirror.put(configName, &mvccpb.KeyValue{Value: s.config, ModRevision: resp.Header.Revision})
		s.readConfig()
	}
	return err
}

// check asks etcd whether it still is where the mirror is: its revision, our own key, the lease written last, and how
// many keys there are. It is for what a watch does not tell: that etcd lost data and the watch is on a revision that does
// not exist. A difference can also mean that the watch is a moment behind; listing again is right for both.
func (r *runner) check(ctx context.Context) error {
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
	r.checkAt = jittered(r.opts.CheckEvery)
	modified := func(i int) int64 {
		if kvs := resp.Responses[i].GetResponseRange().GetKvs(); len(kvs) > 0 {
			return kvs[0].ModRevision
		}
		return 0
	}
	if resp.Header.Revision < s.seen || resp.Responses[0].GetResponseRange().GetCount() != s.mirror.keys() ||
		modified(1) != written || held && modified(2) != own.record.Modified {
		r.relist()
		return nil
	}
	s.seen = resp.Header.Revision
	return nil
}

// forked tells whether etcd at the mirror's own revision was not as the mirror is. Then it went back to a backup, and has
// come past the revision that we saw by another way: revisions do not tell. Where that history is compacted nobody knows.
func (r *runner) forked(ctx context.Context) (bool, error) {
	m := r.session.mirror
	if m == nil || len(m.gone) > 0 {
		return false, nil
	}
	newest, written := m.newest()
	if written > m.revision { // of our own write the watch has not told yet
		return false, nil
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
		return true, nil
	case errors.Is(err, rpctypes.ErrCompacted):
		return false, nil
	case err != nil:
		return false, r.store.explain("read history", err)
	}
	kvs := resp.Responses[1].GetResponseRange().GetKvs()
	same := resp.Responses[0].GetResponseRange().GetCount() == m.keys() && (written == 0 || len(kvs) == 1 && kvs[0].ModRevision == written)
	return !same, nil
}
