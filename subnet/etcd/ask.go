package etcd

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// ask writes our claim, about our identity or about a pod subnet.
func (r *runner) ask(ctx context.Context, st step) error {
	r.takeBack(ctx) // it is a question about something else
	about, questions := podSubnet, r.store.holderClaims(st.others)
	if len(questions) == 0 {
		self := r.session.self
		about, questions = identity, []claimText{{r.store.claimKey(self.Node), claimValue(self)}}
	}
	revision, ttl, err := r.putClaims(ctx, questions...)
	if err == nil {
		r.session.asking = asking{revision: revision, until: time.Now().Add(r.opts.AnswerTime), ttl: ttl, about: about}
	}
	return err
}

// claimText is a claim to write.
type claimText struct {
	key   string
	value []byte
}

// putClaims writes claims under one short etcd lease.
func (r *runner) putClaims(ctx context.Context, texts ...claimText) (revision, ttl int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.store.timeout)
	defer cancel()
	grant, err := r.client.Grant(ctx, max(5, int64(3*r.opts.AnswerTime/time.Second)))
	if err != nil {
		return 0, 0, r.store.explain("grant etcd lease", err)
	}
	var puts []clientv3.Op
	for _, c := range texts {
		puts = append(puts, clientv3.OpPut(c.key, string(c.value), clientv3.WithLease(grant.ID)))
	}
	resp, err := r.client.Txn(ctx).Then(puts...).Commit()
	if err != nil {
		return 0, 0, r.store.explain("write "+texts[0].key, err)
	}
	return resp.Header.Revision, int64(grant.ID), nil
}
