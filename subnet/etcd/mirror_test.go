package etcd

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
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
		if len(m.set().Records) != nodes || m.config.revision == 0 || m.keys() != nodes {
			t.Errorf("pages of %d: %d leases", size, len(m.set().Records))
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
	if pages != 4 || m.revision != before || m.keys() != 10 {
		t.Errorf("%d pages: %d leases, said to be those of revision %d; want the 10 of %d", pages, m.keys(), m.revision, before)
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

func TestOlderNewsIsIgnored(t *testing.T) {
	const key = subnets + "10.5.1.0-24"
	m := newMirror(10)
	put := func(created, modified int64) {
		m.put(key, &mvccpb.KeyValue{CreateRevision: created, ModRevision: modified})
	}
	has := func(want int64) {
		t.Helper()
		if got := m.entries["10.5.1.0-24"].record.Modified; got != want {
			t.Errorf("modified %d, want %d", got, want)
		}
	}
	put(20, 20) // the answer to our write
	put(11, 11) // then what the watch still has to tell
	has(20)
	m.remove(key, 12)
	has(20)
	m.forget(key, 25) // a read shows that it is gone
	put(20, 20)
	has(0)
	put(26, 26)
	has(26)
	m.reach(30)
	if len(m.gone) != 0 {
		t.Error("what the watch has passed is still remembered")
	}
}

func FuzzMirror(f *testing.F) {
	f.Add("subnets/10.5.1.0-24", []byte(`{"PublicIP":"1.2.3.4","BackendType":"vxlan","BackendData":{"VtepMAC":"02:00:00:00:00:01"}}`), int64(3), true)
	f.Add("subnets/10.5.1.0-24&fd00::-64", []byte(`{`), int64(3), true)
	f.Add("claims/x", []byte(`{"NodeID":"x"}`), int64(3), false)
	f.Add("config", []byte(`{}`), int64(0), false)
	f.Add("subnets/x", []byte(``), int64(-1), false)
	f.Add("subnets/", []byte(``), int64(18), false)
	f.Fuzz(func(t *testing.T, name string, value []byte, revision int64, created bool) {
		m := newMirror(1)
		kv := &mvccpb.KeyValue{Value: value, ModRevision: revision}
		if created {
			kv.CreateRevision = revision
		}
		m.put(name, kv)
		m.put(name, kv)
		set := m.set()
		if len(set.Skipped) > set.Junk || len(set.Records)+set.Junk > 2 {
			t.Errorf("set %+v", set)
		}
		m.remove(name, revision+1)
		if revision > 0 && revision < 1<<62 && len(m.entries)+len(m.claims) != 0 {
			t.Errorf("%q was not removed", name)
		}
	})
}

// What the mirror remembers of its entries is what it finds when it looks at all of them.
func FuzzMirrorRemembers(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 0x80, 0x82, 1, 0x83})
	f.Add([]byte{4, 0, 0x84, 4, 0x80, 5, 6, 0x86})
	keys := []string{"10.5.0.0-24", "10.5.1.0-24", "10.5.0.0-16", "10.5.1.128-25", "10.6.0.0-24", "10.5.1.0-24&fd00::-64", "10.7.0.0-24&fd00::-64", "10.5.9.0-24"}
	f.Fuzz(func(t *testing.T, steps []byte) {
		m := newMirror(1)
		for i, step := range steps {
			key, revision := keys[int(step)%len(keys)], int64(i+2)
			if step&0x80 == 0 {
				m.put(subnets+key, &mvccpb.KeyValue{ModRevision: revision, CreateRevision: max(m.entries[key].record.Created, revision-int64(step>>4))})
			} else {
				m.remove(subnets+key, revision)
			}
			if want := slices.Sorted(maps.Keys(m.entries)); !slices.Equal(m.order, want) {
				t.Fatalf("step %d: the keys are %q, remembered %q", i, want, m.order)
			}
			for _, key := range []string{keys[1], keys[1], keys[int(step>>3)%len(keys)]} {
				pair, err := subnet.ParseKey(key)
				if err != nil {
					t.Fatal(err)
				}
				_, found := m.rival(pair)
				var created []int64
				for _, e := range m.entries {
					if e.pair != pair && e.pair.Overlaps(pair) {
						created = append(created, e.record.Created)
					}
				}
				rival, _ := m.rival(pair)
				if found != (len(created) > 0) || found && rival.record.Created != slices.Min(created) {
					t.Fatalf("step %d: rival of %s: %v, of those created at %v", i, key, rival, created)
				}
			}
		}
	})
}
