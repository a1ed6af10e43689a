package etcd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/podlane/podlane/subnet"
)

// act executes what the session decides, until there is nothing left to do.
func (r *runner) act(ctx context.Context) error {
	for ctx.Err() == nil {
		if due(r.listAt) {
			if err := r.list(ctx); err != nil {
				return err
			}
		}
		before := r.session.own.established
		r.session.prune(time.Now())
		r.last = r.session.next(time.Now())
		if r.session.own.established != before {
			r.dirty = true
		}
		if r.last.verb == wait {
			r.owed = nil
			if r.settle(ctx) {
				continue
			}
			return nil
		}
		if !r.mayWrite() {
			r.last.at = r.writeAt
			return r.owed
		}
		if r.owed = r.execute(ctx, r.last); r.owed != nil {
			r.unsure = r.last.lease // it may have been done all the same
			return r.owed
		}
		r.answered()
		if r.feed == nil && r.listAt.IsZero() { // no watch tells what came of it
			if err := r.catchUp(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// settle ends a round of decisions. It tells whether there is to be another one at once.
func (r *runner) settle(ctx context.Context) (again bool) {
	switch asked := r.session.asking; {
	case asked.revision == 0 || r.last.question == awaited:
	case r.last.question == refused:
		if r.last.at = asked.until.Add(r.opts.CheckEvery); due(r.last.at) {
			r.takeBack(ctx)
			return true
		}
	case r.session.own.established || r.last.err != nil:
		r.takeBack(ctx)
	}
	if e, present := r.session.mirrored(); present && !r.session.settled(e) {
		since := r.writeAt
		if r.hearing.last.After(since) {
			since = r.hearing.last
		}
		if r.last.at = since.Add(settleTime); due(r.last.at) {
			r.relist()
			r.last.at = r.listAt
		}
	}
	return false
}

// settleTime is how long the watch may take to bring back our own write before everything is listed again, from the later
// of that write and the last word of the watch, or its beginning.
const settleTime = 2 * time.Second

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
		return r.ask(ctx, st)
	case announceMove:
		return r.announceMove(ctx)
	case putConfig:
		err := r.putConfig(ctx)
		if err != nil && !silent(err) {
			r.session.restoring.refused(err, time.Now())
			return nil
		}
		return err
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
	if st.verb == create && s.mirror.hanging(r.ttl) {
		r.ttl = 0 // else a key of ours that no longer fits would be renewed with the new one, and never expire
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
	s.own.tried = st.lease
	op, conditions = r.store.displace(st.others, op, conditions)
	names := []string{name, configName}
	for _, other := range st.others {
		names = append(names, subnets+other.Pair().Key())
	}
	resp, err := r.txn(ctx, "write "+key, conditions, op, names...)
	if err != nil || !resp.Succeeded {
		return err
	}
	kv.ModRevision = resp.Header.Revision
	if kv.CreateRevision == 0 {
		kv.CreateRevision = kv.ModRevision
	}
	for _, other := range names[2:] {
		s.mirror.forget(other, kv.ModRevision)
	}
	s.mirror.put(name, kv)
	s.note = cmp.Or(st.note, s.note)
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
		if len(found) == 0 && s.restoring.source == fromWatch {
			s.restoring.source = fromList // it may have been changed before it was deleted
		}
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
