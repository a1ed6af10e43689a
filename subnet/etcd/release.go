package etcd

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/podlane/podlane/subnet"
)

// Leases lists all leases as they stand in etcd now.
func (s *Store) Leases(ctx context.Context) (subnet.Set, error) {
	m, err := s.list(ctx, func() {})
	if err != nil {
		return subnet.Set{}, err
	}
	return m.set(), nil
}

// Release deletes leases of nodes that are believed to be gone, and returns those that it has deleted. Each holder is asked
// first, as by a node that looks like it: one that lives answers by writing its lease once more, and keeps it; so it is with
// a lease that anybody else has written since it was read. The answer is awaited for a time, 10 s where it is zero.
func (s *Store) Release(ctx context.Context, records []subnet.Record, answer time.Duration) (released []subnet.Record, err error) {
	if len(records) == 0 {
		return nil, nil
	}
	client, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	if answer <= 0 {
		answer = Options{}.withDefaults().AnswerTime
	}
	claims, err := s.askAll(ctx, client, records, 3*answer)
	defer s.forgetClaims(ctx, client, claims)
	if err != nil {
		return nil, err
	}
	timer := time.NewTimer(answer)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
	}
	for _, r := range records {
		deleted, err := s.deleteUnchanged(ctx, client, r)
		if err != nil {
			return released, err
		}
		if deleted {
			released = append(released, r)
		}
	}
	return released, nil
}

// askAll writes a claim for each record under one etcd lease, and returns that.
func (s *Store) askAll(ctx context.Context, client *clientv3.Client, records []subnet.Record, ttl time.Duration) (clientv3.LeaseID, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	grant, err := client.Grant(ctx, max(5, int64(ttl/time.Second)))
	if err != nil {
		return 0, s.explain("grant etcd lease", err)
	}
	var puts []clientv3.Op
	for _, r := range records {
		asker := subnet.Self{Node: r.Node, PublicIP: r.IPv4.PublicIP, PublicIPv6: r.IPv6.PublicIP}
		puts = append(puts, clientv3.OpPut(s.releaseKey(r.Node), string(claimValue(asker)), clientv3.WithLease(grant.ID)))
	}
	for part := range slices.Chunk(puts, maxOps) {
		if _, err := client.Txn(ctx).Then(part...).Commit(); err != nil {
			return grant.ID, s.explain("write claims", err)
		}
	}
	return grant.ID, nil
}

// maxOps is how many operations etcd takes in one transaction by default.
const maxOps = 128

// releaseKey is the key of the claim by which a node is asked; not its own one, which it may write itself.
func (s *Store) releaseKey(n subnet.Node) string {
	return s.prefix + "/" + claims + url.PathEscape("release of "+n.ID)
}

// forgetClaims deletes the claims. Where etcd does not answer they end by themselves.
func (s *Store) forgetClaims(ctx context.Context, client *clientv3.Client, id clientv3.LeaseID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer cancel()
	if id != 0 {
		_, _ = client.Revoke(ctx, id) // best effort
	}
}

// deleteUnchanged deletes a lease if it still is what was read.
func (s *Store) deleteUnchanged(ctx context.Context, client *clientv3.Client, r subnet.Record) (deleted bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	key := s.leaseKey(r.Pair().Key())
	resp, err := client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(key), "=", r.Modified)).
		Then(clientv3.OpDelete(key)).
		Commit()
	if err != nil {
		return false, s.explain(fmt.Sprintf("delete %s", key), err)
	}
	return resp.Succeeded, nil
}
