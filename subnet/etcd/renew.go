package etcd

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// seconds returns the time to live in etcd's unit.
func (o Options) seconds() int64 { return max(1, int64(o.TTL/time.Second)) }

// timeToLive is an etcd lease. id 0: none is granted yet.
type timeToLive struct {
	id     int64
	expiry time.Time
}

// needTTL provides an etcd lease for the own key. It keeps the key's current one if that exists and was granted for the
// configured time. Otherwise it asks for a new one. current is the id of the current one; 0: none.
func (r *runner) needTTL(ctx context.Context, current int64) error {
	if r.ttl.id != 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.store.timeout)
	defer cancel()
	now := time.Now()
	if current != 0 {
		resp, err := r.client.TimeToLive(ctx, clientv3.LeaseID(current))
		if err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return r.store.explain("read etcd lease", err)
		}
		if err == nil && resp.TTL > 0 && resp.GrantedTTL == r.opts.seconds() {
			r.ttl = timeToLive{current, now.Add(time.Duration(resp.TTL) * time.Second)}
			r.schedule.set(renewTTL, now)
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

// granted records an etcd lease that was just granted or renewed. Its time counts from when we asked, which is a little
// earlier than the grant. So we never believe that it lasts longer than it does.
func (r *runner) granted(id int64, asked time.Time, seconds int64) {
	ttl := time.Duration(seconds) * time.Second
	r.ttl = timeToLive{id, asked.Add(ttl)}
	r.schedule.set(renewTTL, asked.Add(jitter(ttl/3)))
	r.machine.TTLGranted(id, r.ttl.expiry)
	r.news = true
}

// renew renews the etcd lease for its whole time. If it is gone, the machine writes the own key under a new one.
func (r *runner) renew(ctx context.Context) error {
	if r.machine.Reserved() || r.ttl.id == 0 {
		r.schedule.clear(renewTTL)
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.store.timeout)
	defer cancel()
	// First the call that fails at once if etcd is down: KeepAliveOnce would retry without a pause.
	left, err := r.client.TimeToLive(ctx, clientv3.LeaseID(r.ttl.id))
	asked := time.Now()
	if err == nil && left.TTL > 0 {
		var resp *clientv3.LeaseKeepAliveResponse
		if resp, err = r.client.KeepAliveOnce(ctx, clientv3.LeaseID(r.ttl.id)); err == nil {
			r.granted(r.ttl.id, asked, resp.TTL)
			r.answered()
			return nil
		}
	}
	if err == nil || errors.Is(err, rpctypes.ErrLeaseNotFound) {
		r.ttl = timeToLive{}
		r.machine.TTLGone()
		r.schedule.clear(renewTTL)
		return r.decide(ctx)
	}
	return r.store.explain("renew etcd lease", err)
}

// endClaim deletes our claim. If etcd does not answer, the claim expires.
func (r *runner) endClaim(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, r.store.timeout)
	defer cancel()
	if id := r.machine.EndClaim(); id != 0 {
		_, _ = r.client.Revoke(ctx, clientv3.LeaseID(id)) // best effort
	}
}

// adopt uses a valid lease of this node after its write has failed.
func (r *runner) adopt(ctx context.Context) {
	lease, found := r.machine.Adoptable(time.Now())
	if !found || r.client == nil {
		return
	}
	var expiry time.Time
	if ttl, ask := lease.TTL(); ask {
		expiry = r.expiryOf(ctx, ttl)
	}
	if r.machine.Adopt(lease, expiry) {
		r.news = true
	}
}

// expiryOf returns when an etcd lease expires. Zero: it is gone, or etcd does not answer.
func (r *runner) expiryOf(ctx context.Context, id int64) time.Time {
	if id == r.ttl.id {
		return r.ttl.expiry
	}
	ctx, cancel := context.WithTimeout(ctx, r.store.timeout)
	defer cancel()
	asked := time.Now()
	resp, err := r.client.TimeToLive(ctx, clientv3.LeaseID(id))
	if err != nil || resp.TTL <= 0 {
		return time.Time{}
	}
	return asked.Add(time.Duration(resp.TTL) * time.Second)
}
