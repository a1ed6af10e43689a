package etcd

import (
	"context"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// An etcd that takes long for each of many pages is not one that is silent: each page is a word of it.
func TestLongListIsAnswered(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	const peers, slow = 8, 200 * time.Millisecond
	for i, key := range []string{"10.5.50.0-24", "10.5.51.0-24", "10.5.52.0-24", "10.5.53.0-24", "10.5.54.0-24", "10.5.55.0-24", "10.5.56.0-24", "10.5.57.0-24"} {
		leaseOf(etcd, self(10+i), key)
	}
	store := etcd.open(t)
	store.pageSize = 1
	store.config.DialOptions = append(store.config.DialOptions, grpc.WithChainUnaryInterceptor(
		func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			if _, ok := req.(*etcdserverpb.RangeRequest); ok {
				<-time.After(slow)
			}
			return invoke(ctx, method, req, reply, cc, opts...)
		}))
	n := run(t, store, quick(1))
	start, words := time.Now(), 0
	var last time.Time
	for s := n.next(t); s.Lists == 0; s = n.next(t) {
		if s.Err != nil || s.Set.Revision != 0 || !s.Seen.After(last) {
			t.Fatalf("before the list is complete: %+v, last seen %v", s, last)
		}
		last = s.Seen
		words++
	}
	if took := time.Since(start); words < peers-1 || took < peers*slow {
		t.Errorf("%d words in the %v that the list took", words, took)
	}
	if s := n.held(t); len(s.Set.Records) != peers+1 || s.Lists != 1 {
		t.Errorf("%d leases, %d lists", len(s.Set.Records), s.Lists)
	}
}
