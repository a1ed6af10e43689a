package etcd

import (
	"fmt"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/podlane/podlane/subnet"
)

func TestJunkKeys(t *testing.T) {
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	for key, value := range map[string]string{
		"subnets/x":                         "y",
		"subnets/":                          "y",
		"subnets/10.5.1.0-24/more":          "y",
		"subnets/10.5.1.1-24":               "y",
		"subnets/010.5.1.0-24":              "y",
		"subnets/10.5.2.0-24":               "{",
		"subnets/10.5.3.0-24":               `{"PublicIP":"0.0.0.0","BackendType":"vxlan","BackendData":{"VtepMAC":"02:00:00:00:00:01"}}`,
		"other":                             "y",
		"a/b/c":                             "y",
		"config/more":                       "y",
		"subnetsx/10.5.4.0-24":              "y",
		subnets + "\xff\xfe\x00-24":         "\x00",
		subnets + strings.Repeat("x", 5000): "y",
	} {
		etcd.put(key, value)
	}
	n := run(t, etcd.open(t), quick(1))
	s := n.held(t)
	if s.Set.Junk != 9 || len(s.Set.Skipped) != 9 || len(s.Set.Blocked) != 2 || len(s.Set.Records) != 1 {
		t.Errorf("junk %d, skipped %v, blocked %v, records %v", s.Set.Junk, s.Set.Skipped, s.Set.Blocked, s.Set.Records)
	}
	for _, skip := range s.Set.Skipped {
		if len(skip.Key) > 200 || skip.Reason == "" {
			t.Errorf("skip %+v", skip)
		}
	}
	for i := range 150 {
		etcd.put(fmt.Sprintf("subnets/junk-%d", i), "x")
	}
	n.wait(t, "more junk", func(s State) bool { return s.Set.Junk == 159 && len(s.Set.Skipped) == subnet.MaxSkips && held(s) })
	ctx := t.Context()
	if _, err := etcd.client().Delete(ctx, DefaultPrefix+"/subnets/junk", clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
	etcd.put("subnets/x", "written again")
	n.wait(t, "less junk", func(s State) bool { return s.Set.Junk == 9 && held(s) })
}

func TestListOfManyPages(t *testing.T) {
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	const nodes = 23
	for i := range nodes {
		leaseOf(etcd, self(i+100), fmt.Sprintf("10.5.%d.0-24", i+1))
	}
	for _, size := range []int64{1, 2, 7, 23, 24, 500} {
		store := etcd.open(t)
		store.pageSize = size
		m, err := store.list(t.Context(), func() {})
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Set().Records) != nodes || len(m.Set().Records) != nodes {
			t.Errorf("pages of %d: %d leases", size, len(m.Set().Records))
		}
	}
}

// What is written between two pages is in none of them, nor said to be.
func TestListWhileItIsWritten(t *testing.T) {
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	for i := range 10 {
		leaseOf(etcd, self(i+100), fmt.Sprintf("10.5.%d.0-24", i+100))
	}
	store, before := etcd.open(t), etcd.revision()
	store.pageSize = 3
	pages := 0
	m, err := store.list(t.Context(), func() {
		pages++
		leaseOf(etcd, self(pages), fmt.Sprintf("10.4.%d.0-24", pages)) // before all others, and after them
		leaseOf(etcd, self(pages), fmt.Sprintf("10.5.20%d.0-24", pages))
	})
	if err != nil {
		t.Fatal(err)
	}
	if pages != 4 || m.Set().Revision != before || len(m.Set().Records) != 10 {
		t.Errorf("%d pages: %d leases, said to be those of revision %d; want the 10 of %d", pages, len(m.Set().Records), m.Set().Revision, before)
	}
}

func TestBrokenListIsAnError(t *testing.T) {
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	for i := range 10 {
		leaseOf(etcd, self(i+100), fmt.Sprintf("10.5.%d.0-24", i+1))
	}
	store := etcd.open(t)
	client, err := store.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p := page{from: DefaultPrefix, end: clientv3.GetPrefixRangeEnd(DefaultPrefix), limit: 3}
	first, err := store.read(t.Context(), client, p)
	if err != nil {
		t.Fatal(err)
	}
	// What the second page is to be read at is compacted.
	etcd.put("other", "x")
	if _, err := client.Compact(t.Context(), first.Header.Revision+1); err != nil {
		t.Fatal(err)
	}
	p.revision = first.Header.Revision
	if _, err := store.read(t.Context(), client, p); err == nil {
		t.Error("a page of a compacted revision was read")
	}
}
