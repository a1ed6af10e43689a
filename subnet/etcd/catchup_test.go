package etcd

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"github.com/podlane/podlane/subnet"
)

// A mirror that catches up is that of a list then, or knows that it is not complete; and it is complete where nothing was
// deleted that it knew. With what the watch then tells it is that of a list in any case.
func FuzzCatchUp(f *testing.F) {
	f.Add([]byte{0, 1, 5}, []byte{2, 3, 1})
	f.Add([]byte{0, 1, 5}, []byte{0x81, 2})
	f.Add([]byte{0, 1}, []byte{0x81, 1, 0x83, 4})
	f.Add([]byte{0, 1}, []byte{0x80, 7, 8})
	f.Add([]byte{0, 6, 5}, []byte{0x80, 0x85, 9})
	f.Add([]byte{0, 7}, []byte{7, 0x87, 7})
	names := []string{
		subnets + "10.5.0.0-24", subnets + "10.5.1.0-24", subnets + "10.5.2.0-24", subnets + "10.5.3.0-24&fd00::-64",
		configName, claims + "a", claims + "b", subnets + "x", "other", claims + strings.Repeat("c", maxClaimKey+1),
	}
	const kept = 7 // of the names
	f.Fuzz(func(t *testing.T, before, after []byte) {
		e := newImaginary(names)
		for _, step := range before {
			e.do(step)
		}
		m, known, deleted, strange := e.list(), maps.Clone(e.keys), false, false
		for name := range e.keys {
			strange = strange || slices.Index(names, name) >= kept
		}
		e.events = nil
		for i, step := range after {
			name, del := e.do(step)
			_, was := known[name]
			deleted = deleted || del && was
			strange = strange || !del && slices.Index(names, name) >= kept
			if i%3 == 2 && slices.Index(names, name) < kept { // a call of our own shows it
				if del {
					m.forget(name, e.revision)
				} else {
					m.put(name, e.keys[name])
					known[name] = e.keys[name]
				}
			}
		}
		m.catchUp("/p", e.get(m.revision+1))
		now := e.list()
		complete := m.revision == e.revision
		if !complete && !deleted && !strange {
			t.Fatalf("nothing was deleted, and it is at revision %d of %d", m.revision, e.revision)
		}
		if complete && !m.equal(now) {
			t.Fatalf("it has %v and %v, and a list %v and %v", m.order, m.claims, now.order, now.claims)
		}
		m.absorb("/p", clientv3.WatchResponse{Events: slices.DeleteFunc(e.events, func(ev *clientv3.Event) bool { return ev.Kv.ModRevision <= m.revision })})
		if !m.equal(now) || m.keys() != now.keys() {
			t.Fatalf("with the watch it has %v and %v, %d keys, and a list %v and %v, %d keys", m.order, m.claims, m.keys(), now.order, now.claims, now.keys())
		}
	})
}

// equal tells whether two mirrors hold the same keys.
func (m *mirror) equal(o *mirror) bool {
	return maps.Equal(m.entries, o.entries) && maps.Equal(m.claims, o.claims) && m.config.revision == o.config.revision && slices.Equal(m.order, o.order)
}

// imaginary is an etcd with a few keys.
type imaginary struct {
	names    []string
	revision int64
	keys     map[string]*mvccpb.KeyValue
	events   []*clientv3.Event
}

func newImaginary(names []string) *imaginary {
	return &imaginary{names: names, revision: 1, keys: map[string]*mvccpb.KeyValue{}}
}

// do writes or deletes one of the names.
func (e *imaginary) do(step byte) (name string, deletes bool) {
	name = e.names[int(step&0x7f)%len(e.names)]
	was := e.keys[name]
	if deletes = step&0x80 != 0; deletes {
		if was != nil {
			e.revision++
			delete(e.keys, name)
			e.events = append(e.events, &clientv3.Event{Type: clientv3.EventTypeDelete, Kv: &mvccpb.KeyValue{Key: []byte("/p/" + name), ModRevision: e.revision}})
		}
		return name, true
	}
	e.revision++
	kv := &mvccpb.KeyValue{Key: []byte("/p/" + name), Value: []byte("{}"), CreateRevision: e.revision, ModRevision: e.revision}
	if was != nil {
		kv.CreateRevision = was.CreateRevision
	}
	e.keys[name] = kv
	e.events = append(e.events, &clientv3.Event{Type: clientv3.EventTypePut, Kv: kv})
	return name, false
}

// get answers as etcd does: the keys that were modified from a revision on, and how many there are in all.
func (e *imaginary) get(from int64) *clientv3.GetResponse {
	resp := &clientv3.GetResponse{Header: &etcdserverpb.ResponseHeader{Revision: e.revision}, Count: int64(len(e.keys))}
	for _, name := range e.names {
		if kv := e.keys[name]; kv != nil && kv.ModRevision >= from {
			resp.Kvs = append(resp.Kvs, kv)
		}
	}
	return resp
}

func (e *imaginary) list() *mirror {
	m := newMirror(0)
	for _, kv := range e.get(0).Kvs {
		m.put(strings.TrimPrefix(string(kv.Key), "/p/"), kv)
	}
	m.revision = e.revision
	return m
}

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
