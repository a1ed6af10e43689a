package etcd

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// seconds is the time to live as etcd counts it.
func (o Options) seconds() int64 { return max(1, int64(o.TTL/time.Second)) }

// needTTL sees to an etcd lease for the own key: the one that the key hangs on already, if it lives and was granted for
// as long as ours are, or a new one.
func (r *runner) needTTL(ctx context.Context, st step) error {
	if st.reserved || r.ttl != 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.store.timeout)
	defer cancel()
	now := time.Now()
	if id := clientv3.LeaseID(st.record.TTLID); id != 0 {
		resp, err := r.client.TimeToLive(ctx, id)
		if err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return r.store.explain("read etcd lease", err)
		}
		if err == nil && resp.TTL > 0 && resp.GrantedTTL == r.opts.seconds() {
			r.ttl, r.expiry, r.renewAt = st.record.TTLID, now.Add(time.Duration(resp.TTL)*time.Second), now
			return nil
		}
	}
	resp, err := r.client.Grant(ctx, r.opts.seconds())
	if err != nil {
		return r.store.explain("grant etcd lease", err)
	}
	r.granted(int64(resp.ID), now, resp.TTL)
	return nil
}

// granted notes an etcd lease that has its whole time before it. asked is when we asked, which is the safe side.
func (r *runner) granted(id int64, asked time.Time, seconds int64) {
	ttl := time.Duration(seconds) * time.Second
	r.ttl, r.expiry = id, asked.Add(ttl)
	r.renewAt = asked.Add(jitter(ttl / 3))
	if e, present := r.session.mirrored(); present && e.record.TTLID == id {
		r.session.own.expiry = r.expiry
	}
	r.dirty = true
}

// renew gives the etcd lease its whole time again. One that is gone is replaced: the session then sees that the own key
// hangs on none of ours, and writes it.
func (r *runner) renew(ctx context.Context) error {
	if r.session.own.reserved || r.ttl == 0 {
		r.renewAt = time.Time{}
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.store.timeout)
	defer cancel()
	// First the call that fails at once where etcd is down: KeepAliveOnce then goes round without a pause.
	left, err := r.client.TimeToLive(ctx, clientv3.LeaseID(r.ttl))
	asked := time.Now()
	if err == nil && left.TTL > 0 {
		var resp *clientv3.LeaseKeepAliveResponse
		if resp, err = r.client.KeepAliveOnce(ctx, clientv3.LeaseID(r.ttl)); err == nil {
			r.granted(r.ttl, asked, resp.TTL)
			r.answered()
			return nil
		}
	}
	if err == nil || errors.Is(err, rpctypes.ErrLeaseNotFound) {
		r.ttl, r.session.own.ttl, r.renewAt = 0, 0, time.Time{}
		return r.act(ctx)
	}
	return r.store.explain("renew etcd lease", err)
}

// takeBack deletes our claim. Where etcd does not answer the claim ends by itself.
func (r *runner) takeBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, r.store.timeout)
	defer cancel()
	if id := r.session.asking.ttl; id != 0 {
		_, _ = r.client.Revoke(ctx, clientv3.LeaseID(id)) // best effort
	}
	r.session.asking = asking{}
}
