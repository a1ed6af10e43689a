package etcd

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/podlane/podlane/subnet/machine"
)

// decide executes the machine's steps until the machine waits, a step fails, or a step must not be executed yet.
func (r *runner) decide(ctx context.Context) error {
	for ctx.Err() == nil {
		if r.schedule.due(listAll, time.Now()) {
			if err := r.list(ctx); err != nil {
				return err
			}
		}
		before := r.machine.Established()
		r.last = r.machine.Next(time.Now())
		established := r.machine.Established()
		if established != before {
			r.news = true
		}
		switch r.last.Verb {
		case machine.Wait:
			r.writing.err = nil
			r.finish(ctx)
			return nil
		case machine.AskAgain:
			r.writing.err = nil
			r.endClaim(ctx)
			continue
		default:
		}
		if !r.pace.allow(r.last, established, time.Now()) {
			r.last.At = earlier(r.last.At, r.pace.notBefore)
			return r.writing.err
		}
		if r.writing.err = r.execute(ctx, r.last); r.writing.err != nil {
			r.writing.unsure = ""
			if r.last.OwnKey() {
				r.writing.unsure = r.last.LeaseName() // etcd may have executed the step, and only its answer is lost
			}
			return r.writing.err
		}
		r.answered()
		if r.feed == nil && !r.schedule.has(listAll) { // no watch shows the result
			if err := r.catchUp(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// finish completes the step Wait. It deletes a claim that is no longer needed. If the watch does not bring our own write in
// time, it lists again.
func (r *runner) finish(ctx context.Context) {
	if r.last.EndClaim {
		r.endClaim(ctx)
	}
	if !r.machine.Unconfirmed() {
		return
	}
	since := r.pace.notBefore
	if r.health.last.After(since) {
		since = r.health.last
	}
	at := since.Add(confirmTime)
	if time.Now().Before(at) {
		r.last.At = earlier(r.last.At, at)
	} else {
		r.relist()
	}
}

// confirmTime is how long the watch may take to bring our own write before everything is listed again. It begins with that
// write, or with the last response or the start of the watch if that is later.
const confirmTime = 2 * time.Second

// execute executes one step. If another node was faster, that is no error: the machine has its key afterwards.
func (r *runner) execute(ctx context.Context, st machine.Step) error {
	switch {
	case st.Check() != nil:
		return st.Check()
	case st.ClaimTTL():
		return r.writeClaims(ctx, st)
	case st.Verb == machine.Create && r.machine.UsesTTL(r.ttl.id):
		r.ttl = timeToLive{} // else a key of ours that no longer fits the network would be renewed too, and never expire
		return r.execute(ctx, st)
	case st.NeedsTTL():
		err := r.writeOwn(ctx, st)
		if errors.Is(err, rpctypes.ErrLeaseNotFound) {
			r.ttl = timeToLive{} // the etcd lease that we knew is gone
			err = r.writeOwn(ctx, st)
		}
		return err
	}
	err := r.commit(ctx, st, timeToLive{})
	if err != nil && st.Verb == machine.RestoreConfig && !noAnswer(err) {
		r.machine.ConfigRefused(err, time.Now())
		return nil
	}
	return err
}

// writeOwn creates or overwrites the own key under an etcd lease.
func (r *runner) writeOwn(ctx context.Context, st machine.Step) error {
	if err := r.needTTL(ctx, st.Record.TTLID); err != nil {
		return err
	}
	return r.commit(ctx, st, r.ttl)
}

// writeClaims writes claims under one short etcd lease.
func (r *runner) writeClaims(ctx context.Context, st machine.Step) error {
	if st.Verb == machine.Ask {
		r.endClaim(ctx) // the previous claim asks something else
	}
	ctx, cancel := context.WithTimeout(ctx, r.store.timeout)
	defer cancel()
	grant, err := r.client.Grant(ctx, max(5, int64(3*r.opts.AnswerTime/time.Second)))
	if err != nil {
		return r.store.explain("grant etcd lease", err)
	}
	return r.commit(ctx, st, timeToLive{id: int64(grant.ID)})
}

// commit executes the transaction of a step. If it does not succeed, the machine gets the current keys.
func (r *runner) commit(ctx context.Context, st machine.Step, ttl timeToLive) error {
	txn := r.machine.Txn(st)
	ctx, cancel := context.WithTimeout(ctx, r.store.timeout)
	defer cancel()
	conditions, writes, reads := r.store.operations(txn, ttl.id)
	doing := "write "
	if len(txn.Put) == 0 {
		doing = "delete "
	}
	resp, err := r.client.Txn(ctx).If(conditions...).Then(writes...).Else(reads...).Commit()
	if err != nil {
		return r.store.explain(doing+string(writes[0].KeyBytes()), err)
	}
	if resp.Succeeded {
		r.machine.Committed(st, resp.Header.Revision, machine.TTL{ID: ttl.id, Expiry: ttl.expiry}, time.Now())
		return nil
	}
	for i, name := range txn.Read {
		r.apply(name, resp.Responses[i].GetResponseRange().GetKvs(), resp.Header.Revision)
	}
	return nil
}

// operations returns a transaction as the client needs it. Its keys get an etcd lease; 0: none.
func (s *Store) operations(txn machine.Txn, ttl int64) (conditions []clientv3.Cmp, writes, reads []clientv3.Op) {
	for _, c := range txn.Compare {
		conditions = append(conditions, clientv3.Compare(clientv3.ModRevision(s.key(c.Name)), "=", c.Modified))
	}
	for _, kv := range txn.Put {
		var opts []clientv3.OpOption
		if ttl != 0 {
			opts = append(opts, clientv3.WithLease(clientv3.LeaseID(ttl)))
		}
		writes = append(writes, clientv3.OpPut(s.key(kv.Name), string(kv.Value), opts...))
	}
	for _, name := range txn.Delete {
		writes = append(writes, clientv3.OpDelete(s.key(name)))
	}
	for _, name := range txn.Read {
		reads = append(reads, clientv3.OpGet(s.key(name)))
	}
	return conditions, writes, reads
}

// read reads one key for the machine, because an answer about it was lost.
func (r *runner) read(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, r.store.timeout)
	defer cancel()
	resp, err := r.client.Get(ctx, r.store.key(name))
	if err != nil {
		return r.store.explain("read "+r.store.key(name), err)
	}
	r.apply(name, resp.Kvs, resp.Header.Revision)
	r.answered()
	return nil
}

// apply gives the machine the result of a read of one key.
func (r *runner) apply(name string, kvs []*mvccpb.KeyValue, revision int64) {
	if len(kvs) == 0 {
		r.machine.Read(name, machine.KV{}, false, revision)
		return
	}
	r.machine.Read(name, r.store.keyValue(kvs[0]), true, revision)
}
