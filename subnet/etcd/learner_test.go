package etcd

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// bothOrders runs a node on two endpoints, in each order. It checks that the node soon holds its lease and receives watch
// events.
func bothOrders(t *testing.T, a, b string, cfg Config, then func(n *node, first State)) {
	t.Helper()
	for i, endpoints := range [][]string{{a, b}, {b, a}} {
		cfg.Endpoints = endpoints
		start := time.Now()
		opts := quick(i)
		opts.TTL = 2 * time.Second
		n := run(t, openStore(t, cfg), opts)
		first := n.wait(t, "lease and watch", watching)
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("with %v the node holds its lease after %v", endpoints, took)
		}
		if then != nil {
			then(n, first)
		}
		n.stop(t)
	}
}

func watching(s State) bool { return held(s) && s.Watching }

// renews checks that the lease is renewed twice, without an error and without another list.
func renews(t *testing.T) func(n *node, first State) {
	return func(n *node, first State) {
		t.Helper()
		for s := n.next(t); s.Expiry.Sub(first.Expiry) < time.Second; s = n.next(t) {
			if !watching(s) || s.Lists > 1 {
				t.Fatalf("watching %v, %d lists, %v", s.Watching, s.Lists, s.Err)
			}
		}
	}
}

// A learner refuses every call of podlane. One voting member beside it is enough.
func TestLearnerBesideAVoter(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 1)
	c[0].put("config", ipv4Config)
	learner := c.addLearner(t)
	bothOrders(t, c[0].url, learner.url, Config{}, renews(t))
	withUsers(t, c[0])
	bothOrders(t, c[0].url, learner.url, Config{Username: "podlane", PasswordFile: passwordFile(t, "secret")}, renews(t))
}

// If the only member is a learner, the error names it with its address. It is used after its promotion.
func TestLearnerAloneIsNamed(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 1)
	c[0].put("config", ipv4Config)
	learner := c.addLearner(t)
	address := strings.TrimPrefix(learner.url, "http://")
	alone := run(t, openStore(t, Config{Endpoints: []string{learner.url}}), quick(1))
	beside := run(t, openStore(t, Config{Endpoints: []string{learner.url, freeURL(t, "http")}}), quick(2))
	for n, want := range map[*node]string{
		alone:  "etcd at " + learner.url + ": list /podlane/network/: the member at " + address + " is a learner: promote it with `etcdctl member promote`",
		beside: "no other member answers, and the member at " + address + " is a learner: ",
	} {
		n.wait(t, want, func(s State) bool { return s.Err != nil && strings.Contains(s.Err.Error(), want) })
	}
	admin := c[0].client()
	members, err := admin.MemberList(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range members.Members {
		if m.IsLearner {
			eventually(t, "the promotion", func() bool { _, err := admin.MemberPromote(t.Context(), m.ID); return err == nil })
		}
	}
	alone.held(t)
	beside.held(t)
}

// startRefusing starts a server that refuses every call, and returns its URL and how many it has refused.
func startRefusing(t *testing.T, err error) (string, *atomic.Int64) {
	t.Helper()
	url, refused := freeURL(t, "http"), &atomic.Int64{}
	listener, e := net.Listen("tcp", strings.TrimPrefix(url, "http://"))
	if e != nil {
		t.Fatal(e)
	}
	server := grpc.NewServer(grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error {
		refused.Add(1)
		return err
	}))
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return url, refused
}

// A member that refuses a call with another error.
func TestMemberThatRefusesBesideOneThatServes(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	for _, err := range []error{
		status.Error(codes.Unavailable, "etcdserver: rpc not supported for learner"), // etcd before 3.6
		status.Error(codes.Unknown, "etcdserver: too many requests"),
		status.Error(codes.Unimplemented, "unknown service etcdserverpb.KV"),
		rpctypes.ErrGRPCNoLeader,
		rpctypes.ErrGRPCNotCapable,
	} {
		url, refused := startRefusing(t, err)
		bothOrders(t, etcd.url, url, Config{}, nil)
		if refused.Load() == 0 {
			t.Errorf("%v was never sent", err)
		}
	}
}
