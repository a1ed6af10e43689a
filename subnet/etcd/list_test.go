package etcd

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
)

// etcd takes long for each of many pages. Each page shows that it answers.
func TestSlowListShowsThatEtcdAnswers(t *testing.T) {
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
	start, answers := time.Now(), 0
	var last time.Time
	for s := n.next(t); s.Lists == 0; s = n.next(t) {
		if s.Err != nil || s.Set.Revision != 0 || !s.Seen.After(last) {
			t.Fatalf("before the list is complete: %+v, last seen %v", s, last)
		}
		last = s.Seen
		answers++
	}
	if took := time.Since(start); answers < peers-1 || took < peers*slow {
		t.Errorf("%d answers in the %v that the list took", answers, took)
	}
	if s := n.held(t); len(s.Set.Records) != peers+1 || s.Lists != 1 {
		t.Errorf("%d leases, %d lists", len(s.Set.Records), s.Lists)
	}
}

// A list in pages is of one revision, whatever is written meanwhile.
func TestListInPages(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	const nodes = 23
	for i := range nodes {
		leaseOf(etcd, self(i+100), fmt.Sprintf("10.5.%d.0-24", i+1))
	}
	for _, size := range []int64{1, 2, 7, nodes, nodes + 1, 500} {
		store := etcd.open(t)
		store.pageSize = size
		m, err := store.list(t.Context(), func() {})
		if err != nil {
			t.Fatal(err)
		}
		if got := len(m.Set().Records); got != nodes {
			t.Errorf("pages of %d: %d leases, want %d", size, got, nodes)
		}
	}
	// Leases before and after all others are written between the pages.
	store, before := etcd.open(t), etcd.revision()
	store.pageSize = 10
	pages := 0
	m, err := store.list(t.Context(), func() {
		pages++
		leaseOf(etcd, self(pages), fmt.Sprintf("10.4.%d.0-24", pages))
		leaseOf(etcd, self(pages), fmt.Sprintf("10.5.20%d.0-24", pages))
	})
	if err != nil {
		t.Fatal(err)
	}
	if set := m.Set(); pages != 3 || set.Revision != before || len(set.Records) != nodes {
		t.Errorf("%d pages: %d leases of revision %d; want %d of %d", pages, len(set.Records), set.Revision, nodes, before)
	}
	// The revision of a page is compacted.
	client, err := store.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p := page{from: DefaultPrefix, end: clientv3.GetPrefixRangeEnd(DefaultPrefix), limit: 3, revision: before}
	if _, err := client.Compact(t.Context(), before+1); err != nil {
		t.Fatal(err)
	}
	if _, err := store.read(t.Context(), client, p); err == nil {
		t.Error("a page of a compacted revision was read")
	}
}
