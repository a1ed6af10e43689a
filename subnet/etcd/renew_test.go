package etcd

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/google/go-cmp/cmp"
	"github.com/podlane/podlane/subnet"
)

// holder starts an etcd and one node that holds a lease.
func holder(t *testing.T, opts Options) (*server, *node, State) {
	t.Helper()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	n := run(t, etcd.open(t), opts)
	return etcd, n, n.held(t)
}

// A lease is renewed without a write. If its etcd lease is gone, it is written under a new one.
func TestLeaseIsRenewed(t *testing.T) {
	t.Parallel()
	opts := quick(1)
	opts.TTL = 2 * time.Second
	etcd, n, s := holder(t, opts)
	key := s.Own.Pair().Key()
	before := etcd.keys(subnets)[key]
	n.wait(t, "third renewal", func(now State) bool { return now.Expiry.Sub(s.Expiry) > 4*time.Second })
	after := etcd.keys(subnets)[key]
	if after.modified != before.modified || after.ttl != before.ttl {
		t.Errorf("the key was written again (-want +got):\n%s", cmp.Diff(before, after, cmp.AllowUnexported(record{})))
	}
	if _, err := etcd.client().Revoke(t.Context(), clientv3.LeaseID(before.ttl)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "key under another etcd lease", func() bool {
		r, ok := etcd.keys(subnets)[key]
		return ok && r.ttl != 0 && r.ttl != before.ttl
	})
	n.wait(t, "expiry", func(s State) bool { return held(s) && time.Until(s.Expiry) > time.Second })
}

func TestAnswerToAWriteIsLost(t *testing.T) {
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	store := etcd.open(t)
	var lost atomic.Int32
	intercept(store, func(txn *etcdserverpb.TxnRequest, commit func() error) error {
		err := commit()
		if err == nil && len(txn.Compare) > 0 && lost.Add(1) == 1 {
			return status.Error(codes.Unavailable, "the connection broke")
		}
		return err
	})
	n := run(t, store, quick(1))
	n.held(t)
	if keys := etcd.keys(subnets); len(keys) != 1 {
		t.Errorf("keys %v, want one", keys)
	}
}

func TestCompactionWhileAway(t *testing.T) {
	t.Parallel()
	etcd, n, s := holder(t, quick(1))
	dir := etcd.dir
	network := s.Network
	// The node's watch is cut off. The revision at which it is to resume is compacted before etcd is back.
	n.stop(t)
	store := etcd.open(t)
	again := run(t, store, quick(1))
	leaseOf(etcd, self(3), "10.5.201.0-24")
	leaseOf(etcd, self(4), "10.5.202.0-24")
	again.wait(t, "peers", func(s State) bool { return held(s) && len(s.Set.Records) == 3 })
	own := etcd.keys(subnets)[s.Own.Pair().Key()]
	etcd.stop()
	again.wait(t, "error", func(s State) bool { return s.Err != nil })
	cut := freeURL(t, "http")
	public := etcd.url
	etcd.url = cut
	etcd.start(dir)
	pair := subnet.Pair{IPv4: netip.MustParsePrefix("10.5.200.0/24")}
	etcd.put(subnets+pair.Key(), string(self(2).Lease(network, pair, subnet.Lease{}).Value()))
	moved := leaseOf(etcd, self(5), "10.5.201.0-24") // another address
	etcd.delete(subnets + "10.5.202.0-24")
	for range 50 {
		etcd.put("other", "x")
	}
	resp, err := etcd.client().Get(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := etcd.client().Compact(t.Context(), resp.Header.Revision); err != nil {
		t.Fatal(err)
	}
	etcd.stop()
	etcd.url = public
	etcd.start(dir)
	back := time.Now()
	again.wait(t, "the set as it is in etcd", func(s State) bool {
		_, came := s.Set.Find(pair)
		r, _ := s.Set.Find(moved.Pair())
		return came && r.Lease == moved && len(s.Set.Records) == 3 && held(s)
	})
	t.Logf("equal to etcd %v after it was back", time.Since(back).Round(time.Millisecond))
	if diff := cmp.Diff(own, etcd.keys(subnets)[s.Own.Pair().Key()], cmp.AllowUnexported(record{})); diff != "" {
		t.Errorf("the own lease was written (-want +got):\n%s", diff)
	}
}

// A call over a connection from the former address would only time out, and the node's peers would wait for it.
func TestAddressChangesWhileEtcdIsAsked(t *testing.T) {
	opts := quick(1)
	opts.CheckEvery = 50 * time.Millisecond
	changes := make(chan subnet.Self)
	opts.Changes = changes
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	type call struct{ err error }
	calls := make(chan call, 1000)
	store := openStore(t, Config{Endpoints: []string{etcd.url}, Observe: func(_ string, _ time.Duration, err error) { calls <- call{err} }})
	n := run(t, store, opts)
	n.held(t)
	etcd.freeze()
	for waiting := false; !waiting; {
		select {
		case <-calls:
		case <-time.After(200 * time.Millisecond): // four checks should have ended meanwhile
			waiting = true
		}
	}
	moved := self(1)
	moved.PublicIP = netip.MustParseAddr("192.168.77.7")
	began := time.Now()
	changes <- moved
	if c := <-calls; c.err == nil || time.Since(began) > DefaultRequestTimeout/4 {
		t.Errorf("a call ended %v after the change with %v", time.Since(began), c.err)
	}
	etcd.thaw()
	n.wait(t, "new address", func(s State) bool { return held(s) && s.Own.IPv4.PublicIP == moved.PublicIP })
}
