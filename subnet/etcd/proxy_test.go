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

// proxy is etcd's own grpc-proxy in front of an etcd. It answers no question for the progress of a watch.
type proxy struct {
	url     string
	watches atomic.Int64 // how many have begun
	deaf    atomic.Int64 // the first so many bring nothing any more
	dropped atomic.Int64
}

// filter is a watch through the proxy.
type filter struct {
	grpc.ServerStream
	proxy  *proxy
	number int64
}

func (f filter) SendMsg(m any) error {
	if f.number <= f.proxy.deaf.Load() {
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
		_ = client.Close() // which ends what follows
		for _, ended := range []<-chan struct{}{kvEnded, watchEnded, leaseEnded} {
			<-ended
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return p
}

// Behind a proxy the watch never tells that nothing has changed. It is given up three times, and then taken as it is. When it
// brings nothing any more it is noticed all the same.
func TestProxyAnswersNoQuestions(t *testing.T) {
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
	calm := started.Add(3*deafAfter + 3*time.Second)
	n.wait(t, "the fourth watch", func(State) bool { return time.Now().After(calm) })
	watching := n.wait(t, "watch", func(s State) bool { return s.Watching })
	for s := watching; time.Now().Before(calm.Add(deafAtMost)); s = n.next(t) {
		if !s.Watching || s.Lists != 1 || s.Err != nil {
			t.Fatalf("taken for a deaf one: watching %v, %d lists, %v", s.Watching, s.Lists, s.Err)
		}
	}
	if watches := p.watches.Load(); watches != 4 {
		t.Errorf("%d watches, want 4", watches)
	}
	if took := peer(1); took > 2*time.Second {
		t.Errorf("a peer is seen after %v", took)
	}
	p.deaf.Store(p.watches.Load())
	took := peer(2)
	t.Logf("a deaf watch is noticed after %v, %d responses were dropped", took.Round(time.Millisecond), p.dropped.Load())
	if took > deafAtMost || p.dropped.Load() == 0 {
		t.Errorf("noticed after %v", took)
	}
	if took = peer(3); took > 2*time.Second {
		t.Errorf("a peer is seen after %v", took)
	}
}

// From a proxy back to an etcd that answers: the watch is asked and believed again.
func TestWatchIsAnsweredAgain(t *testing.T) {
	now := time.Now()
	h := hearing{}
	for range 3 {
		h.expect(now)
		h.heard(clientv3.WatchResponse{Created: true}, now)
		h.giveUp(now)
	}
	if !h.mute() || h.askEvery() != deafAtMost || h.deafAt() != now.Add(deafAtMost) {
		t.Errorf("%+v is not taken for mute", h)
	}
	h.heard(clientv3.WatchResponse{Events: []*clientv3.Event{{}}}, now)
	if !h.mute() {
		t.Error("an event is taken for an answer")
	}
	h.heard(clientv3.WatchResponse{Header: &pb.ResponseHeader{Revision: 7}}, now)
	if h.mute() || h.askEvery() != askEvery || h.deafAt() != now.Add(deafAfter) {
		t.Errorf("%+v is still taken for mute", h)
	}
}

// A watch that was taken for mute, and asked seldom, answers after all: another one takes its place, which is asked as often
// as ever before it is taken for deaf.
func TestWatchThatWasTakenForMuteIsAskedAgain(t *testing.T) {
	ended := make(chan clientv3.WatchResponse)
	close(ended)
	stopped := false
	r := &runner{
		session: session{mirror: newMirror(7)}, hearing: hearing{unanswered: 3},
		feed: &feed{responses: ended, cancel: func() { stopped = true }},
	}
	r.receive(clientv3.WatchResponse{Header: &pb.ResponseHeader{Revision: 7}, Created: true}, true)
	if stopped || r.feed == nil {
		t.Error("it has only begun")
	}
	r.receive(clientv3.WatchResponse{Header: &pb.ResponseHeader{Revision: 7}}, true)
	if !stopped || r.feed != nil || r.hearing.mute() || !r.listAt.IsZero() {
		t.Errorf("stopped %v, %+v, listed again at %v", stopped, r.hearing, r.listAt)
	}
}

// A server whose watches begin, and bring what changes, but answer nothing, or do not begin at all.
func TestGivingUpIsRare(t *testing.T) {
	for name, c := range map[string]struct {
		begins, answers bool
		events          time.Duration // between two; 0: there are none
		least, most     int           // how often it is given up in ten minutes
	}{
		"etcd":               {begins: true, answers: true},
		"mute":               {begins: true, least: 15, most: 3 + int(10*time.Minute/deafAtMost)},
		"mute and busy":      {begins: true, events: 7 * time.Second, least: 1, most: 3},
		"mute and very busy": {begins: true, events: 3 * time.Second},
		"down":               {least: 15, most: 3 + int(10*time.Minute/deafAtMost)},
	} {
		h, ups := hearing{}, 0
		start := time.Now()
		event := start
		h.expect(start)
		for now := start; now.Before(start.Add(10 * time.Minute)); now = now.Add(time.Second) {
			if now.Equal(start) && c.begins {
				h.heard(clientv3.WatchResponse{Created: true}, now)
			}
			if c.answers {
				h.heard(clientv3.WatchResponse{Header: &pb.ResponseHeader{Revision: 7}}, now)
			}
			if c.events > 0 && !now.Before(event.Add(c.events)) {
				event = now
				h.heard(clientv3.WatchResponse{Events: []*clientv3.Event{{}}}, now)
			}
			if !now.Before(h.deafAt()) {
				ups++
				h.giveUp(now)
				h.expect(now)
				if c.begins {
					h.heard(clientv3.WatchResponse{Created: true}, now)
				}
			}
		}
		if ups < c.least || ups > c.most {
			t.Errorf("%s: given up %d times in ten minutes, want %d to %d", name, ups, c.least, c.most)
		}
	}
}
