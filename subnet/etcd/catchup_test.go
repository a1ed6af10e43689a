package etcd

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/podlane/podlane/subnet"
)

// joinAmid starts a node whose watch says nothing, and does something right before it writes its first key.
func joinAmid(t *testing.T, etcd *server, meanwhile func(key subnet.Pair)) *node {
	t.Helper()
	store := etcd.open(t)
	done := false
	intercept(store, func(txn *etcdserverpb.TxnRequest, commit func() error) error {
		if !done && len(txn.Success) > 0 && txn.Success[0].GetRequestPut() != nil {
			done = true
			pair, err := subnet.ParseKey(strings.TrimPrefix(string(txn.Success[0].GetRequestPut().Key), DefaultPrefix+"/"+subnets))
			if err != nil {
				t.Error(err)
			}
			meanwhile(pair)
		}
		return commit()
	})
	store.config.DialOptions = append(store.config.DialOptions, grpc.WithChainStreamInterceptor(
		func(ctx context.Context, _ *grpc.StreamDesc, _ *grpc.ClientConn, _ string, _ grpc.Streamer, _ ...grpc.CallOption) (grpc.ClientStream, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}))
	return run(t, store, quick(1))
}

// A node holds its lease without having heard a word of the watch: it reads itself what the others write at the same time.
func TestLeaseWithoutAWatch(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", dualConfig)
	n := joinAmid(t, etcd, func(subnet.Pair) { leaseOf(etcd, self(2), "10.5.200.0-24&fd00:5:0:200::-64") })
	if s := n.held(t); len(s.Set.Records) != 2 || s.Watching {
		t.Errorf("the set has %d leases, watching %v", len(s.Set.Records), s.Watching)
	}
}

// So it sees that a half of what it took was another's a moment before.
func TestRivalWithoutAWatch(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", dualConfig)
	var lost subnet.Pair
	n := joinAmid(t, etcd, func(key subnet.Pair) {
		lost = key
		leaseOf(etcd, self(2), subnet.Pair{IPv4: key.IPv4, IPv6: netip.MustParsePrefix("fd00:5:0:ffff::/64")}.Key())
	})
	if s := n.held(t); s.Own.Pair().IPv4 == lost.IPv4 || len(etcd.keys(subnets)) != 2 || s.Watching {
		t.Errorf("it holds %v after %v, of %d keys; watching %v", s.Own.Pair(), lost, len(etcd.keys(subnets)), s.Watching)
	}
}
