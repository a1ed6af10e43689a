package etcd

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/podlane/podlane/subnet"
)

// A node that starts writes its lease before it uses it. etcd may answer reads and refuse that write: the role may only
// read, an alarm is raised, or the quorum was lost meanwhile. The node then adopts its valid lease without the write: the
// listed one, or else the saved one. The write is tried again and its error is reported until it succeeds.

// adopt uses a valid lease of this node after its write has failed. Without one the node continues to join.
func (r *runner) adopt(ctx context.Context) {
	own, ttl, found := r.session.adoptable(time.Now())
	if !found || r.client == nil {
		return
	}
	if !own.reserved && own.expiry.IsZero() {
		if own.expiry = r.expiryOf(ctx, ttl); own.expiry.IsZero() {
			return // it may have run out
		}
	}
	r.session.own, r.dirty = own, true
}

// expiryOf returns when an etcd lease expires; zero: it is gone, or etcd does not answer.
func (r *runner) expiryOf(ctx context.Context, ttl int64) time.Time {
	if ttl == r.ttl {
		return r.expiry
	}
	ctx, cancel := context.WithTimeout(ctx, r.store.timeout)
	defer cancel()
	asked := time.Now()
	resp, err := r.client.TimeToLive(ctx, clientv3.LeaseID(ttl))
	if err != nil || resp.TTL <= 0 {
		return time.Time{}
	}
	return asked.Add(time.Duration(resp.TTL) * time.Second)
}

// adoptable returns the lease to adopt and the etcd lease of its key. The expiry is zero if only etcd knows it.
func (s *session) adoptable(now time.Time) (own holding, ttl int64, found bool) {
	if s.mirror == nil || s.config == nil || s.own.lease != (subnet.Lease{}) || s.check != nil && s.check(s.network) != nil {
		return own, 0, false
	}
	saved, valid := s.validSavedLease(now)
	lease, found := saved, valid
	if d, err := subnet.Decide(s.network, s.self, s.mirror.set(), subnet.Claim{}); err == nil && d.Verdict == subnet.TakeOver && d.Record.Node != (subnet.Node{}) {
		lease, found = d.Record.Lease, true
	}
	pair := lease.Pair()
	if !found || !s.network.Fits(pair) {
		return own, 0, false
	}
	own = holding{lease: lease, established: true}
	e, listed := s.mirror.entries[pair.Key()]
	if listed && e.fault == "" {
		if !sameNode(e.record.Lease, lease) {
			return own, 0, false
		}
		own.lease, own.modified = e.record.Lease, e.record.Modified
	}
	if rival, contested := s.mirror.rival(pair); contested && (!listed || rival.record.Created < e.record.Created) {
		return own, 0, false
	}
	if valid && saved.Pair() == pair {
		own.expiry, own.reserved = s.saved.Expiry, s.saved.Expiry.IsZero()
	}
	if listed {
		own.reserved = e.record.TTLID == 0
	}
	return own, e.record.TTLID, true
}

// validSavedLease returns the saved lease of this node if it has not run out.
func (s *session) validSavedLease(now time.Time) (l subnet.Lease, valid bool) {
	if s.saved == nil || !s.saved.Expiry.IsZero() && !now.Before(s.saved.Expiry) {
		return l, false
	}
	l, valid = s.saved.Lease()
	return l, valid && l.Node.ID == s.self.Node.ID
}
