package etcd

import (
	"context"
	"testing"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// A node holds its lease without a response of the watch: it reads what other nodes write at the same time.
func TestLeaseWithoutAWatch(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", dualConfig)
	store := etcd.open(t)
	written := false
	intercept(store, func(txn *etcdserverpb.TxnRequest, commit func() error) error {
		if !written && len(txn.Success) > 0 && txn.Success[0].GetRequestPut() != nil {
			written = true
			leaseOf(etcd, self(2), "10.5.200.0-24&fd00:5:0:200::-64")
		}
		return commit()
	})
	store.config.DialOptions = append(store.config.DialOptions, grpc.WithChainStreamInterceptor(
		func(ctx context.Context, _ *grpc.StreamDesc, _ *grpc.ClientConn, _ string, _ grpc.Streamer, _ ...grpc.CallOption) (grpc.ClientStream, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}))
	s := run(t, store, quick(1)).held(t)
	if len(s.Set.Records) != 2 {
		t.Errorf("the set has %d leases, want 2", len(s.Set.Records))
	}
	if s.Watching {
		t.Error("it watches")
	}
}
