package etcd

import (
	"context"
	"flag"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

var (
	seed    = flag.Uint64("seed", 0, "of the random changes; 0: another one each time")
	changes = flag.Int("changes", 1000, "how many random changes")
)

// life is a node that is killed and started again.
type life struct {
	number int
	store  *Store
	cancel context.CancelFunc // nil: it does not run
	ended  chan struct{}

	mu    sync.Mutex
	state State // the last
}

func (l *life) last() store.State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

// kill ends a node at any point, also during a call. It changes nothing else.
func (l *life) kill() {
	if l.cancel != nil {
		l.cancel()
		<-l.ended
		l.cancel = nil
		_ = l.store.Close()
	}
}

// crowded networks have seven pod subnets, so several nodes wait for each free one. With as many of both families they compete
// for one key. With more of IPv6 they compete for one half, in different keys.
var crowded = map[string]string{
	"one key":  `{"Network":"10.5.0.0/25","SubnetLen":28,"EnableIPv6":true,"IPv6Network":"fd00:5::/61"}`,
	"one half": `{"Network":"10.5.0.0/25","SubnetLen":28,"EnableIPv6":true,"IPv6Network":"fd00:5::/59"}`,
}

// model is twelve nodes in a network that is too small for them, and an etcd of three members.
type model struct {
	t      *testing.T
	config string
	random *rand.Rand
	etcd   cluster
	client *clientv3.Client
	nodes  []*life
	history
	counts map[string]int
}

func newModel(t *testing.T, config string, seed uint64) *model {
	m := &model{
		t: t, config: config, random: rand.New(rand.NewPCG(seed, 0)), etcd: startCluster(t, 3),
		history: history{start: time.Now()}, counts: map[string]int{},
	}
	m.etcd[0].put("config", config)
	client, err := clientv3.New(clientv3.Config{Endpoints: m.etcd.endpoints(), Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	m.client = client
	for i := range 12 {
		l := &life{number: i, store: m.etcd.open(t)}
		m.nodes = append(m.nodes, l)
		t.Cleanup(l.kill)
	}
	return m
}

// start starts a node with its saved state, or almost nothing. Its pods may still run.
func (m *model) start(l *life) {
	opts := quick(l.number)
	opts.Grace, opts.CheckEvery = time.Second, 2*time.Second
	opts.Saved = &store.Saved{Config: []byte(m.config)} // a full network does not end it
	if last := l.last(); last.Own != (subnet.Lease{}) && m.random.IntN(2) == 0 {
		saved := last.Save()
		opts.Saved = &saved
		opts.Self.Previous, opts.Self.InUse = last.Own.Pair(), m.random.IntN(2) == 0
	}
	ctx, cancel := context.WithCancel(m.t.Context())
	l.cancel, l.ended = cancel, make(chan struct{})
	deliver := m.record(l.number, func(s State) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.state = s
	})
	go func() {
		defer close(l.ended)
		_ = l.store.Run(ctx, opts, deliver) // it ends only with its context
	}()
}

// vacate deletes a random key, or ends its etcd lease.
func (m *model) vacate(revoke bool) {
	ctx, cancel := context.WithTimeout(m.t.Context(), 3*time.Second)
	defer cancel()
	resp, err := m.client.Get(ctx, DefaultPrefix+"/"+subnets, clientv3.WithPrefix())
	if err != nil || len(resp.Kvs) == 0 {
		return
	}
	kv := resp.Kvs[m.random.IntN(len(resp.Kvs))]
	pair, err := subnet.ParseKey(string(kv.Key)[len(DefaultPrefix+"/"+subnets):])
	if err != nil {
		m.t.Fatal(err)
	}
	call, revision := m.now(), int64(0)
	if revoke {
		if resp, e := m.client.Revoke(ctx, clientv3.LeaseID(kv.Lease)); e == nil {
			revision = resp.Header.Revision
		}
	} else if resp, e := m.client.Delete(ctx, string(kv.Key)); e == nil {
		revision = resp.Header.Revision
	}
	m.vacated(pair, call, revision != 0)
}

// change makes one random change.
func (m *model) change() {
	l := m.nodes[m.random.IntN(len(m.nodes))]
	member := m.etcd[m.random.IntN(len(m.etcd))]
	running := l.cancel != nil
	switch n := m.random.IntN(100); {
	case n < 45 && !running:
		m.counts["started"]++
		m.start(l)
	case n < 45:
		m.counts["killed"]++
		l.kill()
	case n < 75:
		m.counts["deleted"]++
		m.vacate(false)
	case n < 95:
		m.counts["expired"]++
		m.vacate(true)
	case n < 98:
		m.counts["member killed"]++
		dir := member.dir
		member.stop()
		m.pause(200)
		member.start(dir)
	default:
		m.counts["member slow"]++
		member.freeze()
		m.pause(1500)
		member.thaw()
	}
	m.pause(40)
}

func (m *model) pause(most int) {
	select {
	case <-time.After(time.Duration(m.random.IntN(most)) * time.Millisecond):
	case <-m.t.Context().Done():
	}
}

// A thousand random changes:
//   - nodes are started, killed and started again, with and without their saved state
//   - keys are deleted and etcd leases end
//   - members of etcd are killed and frozen
//
// No half ever has two owners.
func TestNeverTwoOwners(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d -changes %d", *seed, *changes)
	for name, config := range crowded {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			live(newModel(t, config, *seed), *changes/len(crowded))
		})
	}
}

// live makes the changes and checks the history afterwards.
func live(m *model, changes int) {
	t := m.t
	for range changes {
		m.change()
	}
	for _, l := range m.nodes {
		l.kill()
	}
	events := m.etcd.history()
	m.history.check(t)
	replay(t, events, m.acquired)
	t.Logf("%v: %d acquisitions, %d operations, %d events, %v", m.counts, len(m.acquired), len(m.operations), len(events), time.Since(m.history.start).Round(time.Second))
	if len(m.acquired) < changes/5 {
		t.Errorf("only %d acquisitions", len(m.acquired))
	}
}

// history returns every change of the leases since the store began.
func (c cluster) history() (events []*clientv3.Event) {
	t := c[0].t
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	last := c[0].revision()
	c[0].put("subnets-end", "x") // it ends with the prefix, so that the watch brings it
	for resp := range c[0].client().Watch(ctx, DefaultPrefix+"/subnets", clientv3.WithPrefix(), clientv3.WithRev(1)) {
		for _, e := range resp.Events {
			if e.Kv.ModRevision > last {
				return events
			}
			events = append(events, e)
		}
	}
	t.Fatal("no history")
	return nil
}
