package etcd

import (
	"context"
	"fmt"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/machine"
)

// Leases lists all current leases in etcd.
func (s *Store) Leases(ctx context.Context) (subnet.Set, error) {
	m, err := s.list(ctx, func() {})
	if err != nil {
		return subnet.Set{}, err
	}
	return m.Set(), nil
}

// Release deletes leases of nodes that should be gone, and returns those that it has deleted. It first asks each holder by a
// claim. A live holder answers by writing its lease again, and keeps it. A lease that another program has written since it
// was read is kept too. answer is how long to wait for answers; 0: 10 s.
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
	defer s.deleteClaims(ctx, client, claims)
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

// askAll writes a claim for each record under one etcd lease, and returns that etcd lease.
func (s *Store) askAll(ctx context.Context, client *clientv3.Client, records []subnet.Record, ttl time.Duration) (clientv3.LeaseID, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	grant, err := client.Grant(ctx, max(5, int64(ttl/time.Second)))
	if err != nil {
		return 0, s.explain("grant etcd lease", err)
	}
	var puts []clientv3.Op
	for _, r := range records {
		claim := machine.ReleaseClaim(r)
		puts = append(puts, clientv3.OpPut(s.key(claim.Name), string(claim.Value), clientv3.WithLease(grant.ID)))
	}
	for part := range slices.Chunk(puts, maxOps) {
		if _, err := client.Txn(ctx).Then(part...).Commit(); err != nil {
			return grant.ID, s.explain("write claims", err)
		}
	}
	return grant.ID, nil
}

// maxOps is how many operations etcd accepts in one transaction by default.
const maxOps = 128

// deleteClaims deletes the claims. If etcd does not answer, they expire.
func (s *Store) deleteClaims(ctx context.Context, client *clientv3.Client, id clientv3.LeaseID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer cancel()
	if id != 0 {
		_, _ = client.Revoke(ctx, id) // best effort
	}
}

// deleteUnchanged deletes a lease if it has not changed since it was read.
func (s *Store) deleteUnchanged(ctx context.Context, client *clientv3.Client, r subnet.Record) (deleted bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	key := s.key(machine.Leases + r.Pair().Key())
	resp, err := client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(key), "=", r.Modified)).
		Then(clientv3.OpDelete(key)).
		Commit()
	if err != nil {
		return false, s.explain(fmt.Sprintf("delete %s", key), err)
	}
	return resp.Succeeded, nil
}
