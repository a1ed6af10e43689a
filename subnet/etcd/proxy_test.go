package etcd

import (
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/proxy/grpcproxy"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/podlane/podlane/subnet"
)

// proxy is etcd's own grpc-proxy in front of an etcd. It does not answer progress requests.
type proxy struct {
	url     string
	watches atomic.Int64 // how many have begun
	broken  atomic.Int64 // so many of the first ones bring nothing any more
	dropped atomic.Int64
}

// filter is a watch through the proxy.
type filter struct {
	grpc.ServerStream
	proxy  *proxy
	number int64
}

func (f filter) SendMsg(m any) error {
	if f.number <= f.proxy.broken.Load() {
		f.proxy.dropped.Add(1)
		return nil
	}
	return f.ServerStream.SendMsg(m)
}

func startProxy(t *testing.T, etcd *server) *proxy {
	t.Helper()
	p := &proxy{url: freeURL(t, "http")}
	listener, err := net.Listen("tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{etcd.url}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		if strings.HasSuffix(info.FullMethod, "/Watch") {
			stream = filter{stream, p, p.watches.Add(1)}
		}
		return handler(srv, stream)
	}))
	kv, kvEnded := grpcproxy.NewKvProxy(client)
	watch, watchEnded := grpcproxy.NewWatchProxy(client.Ctx(), zap.NewNop(), client)
	lease, leaseEnded := grpcproxy.NewLeaseProxy(client.Ctx(), client)
	pb.RegisterKVServer(server, kv)
	pb.RegisterWatchServer(server, watch)
	pb.RegisterLeaseServer(server, lease)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		_ = client.Close() // which ends the proxies
		for _, ended := range []<-chan struct{}{kvEnded, watchEnded, leaseEnded} {
			<-ended
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return p
}

// Behind a proxy the watch never reports that nothing has changed. It is given up three times, and then accepted. If it stops
// working later, that is found all the same.
func TestProxyAnswersNoProgressRequests(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	p := startProxy(t, etcd)
	opts := quick(1)
	opts.CheckEvery = 0 // the default
	n := run(t, openStore(t, Config{Endpoints: []string{p.url}}), opts)
	started, s := time.Now(), n.held(t)
	peer := func(i int) time.Duration {
		t.Helper()
		start := time.Now()
		pair := subnet.Pair{IPv4: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 5, byte(200 + i), 0}), 24)}
		etcd.put(subnets+pair.Key(), string(self(100+i).Lease(s.Network, pair, subnet.Lease{}).Value()))
		n.wait(t, "peer", func(s State) bool { _, there := s.Set.Find(pair); return there })
		return time.Since(start)
	}
	if took := peer(0); took > 2*time.Second {
		t.Errorf("a peer is seen after %v", took)
	}
	calm := started.Add(3*silentAfter + 3*time.Second)
	n.wait(t, "the fourth watch", func(State) bool { return time.Now().After(calm) })
	watching := n.wait(t, "watch", func(s State) bool { return s.Watching })
	for s := watching; time.Now().Before(calm.Add(silentAtMost)); s = n.next(t) {
		if !s.Watching || s.Lists != 1 || s.Err != nil {
			t.Fatalf("the watch was given up: watching %v, %d lists, %v", s.Watching, s.Lists, s.Err)
		}
	}
	if watches := p.watches.Load(); watches != 4 {
		t.Errorf("%d watches, want 4", watches)
	}
	if took := peer(1); took > 2*time.Second {
		t.Errorf("a peer is seen after %v", took)
	}
	p.broken.Store(p.watches.Load())
	took := peer(2)
	t.Logf("a broken watch is found after %v, %d responses were dropped", took.Round(time.Millisecond), p.dropped.Load())
	if took > silentAtMost || p.dropped.Load() == 0 {
		t.Errorf("found after %v", took)
	}
	if took = peer(3); took > 2*time.Second {
		t.Errorf("a peer is seen after %v", took)
	}
}
