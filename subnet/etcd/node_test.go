package etcd

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/machine"
	"github.com/podlane/podlane/subnet/store"
)

// State is a short name, because many tests have a variable named store.
type State = store.State

// patience bounds every wait for a condition.
const patience = 60 * time.Second

// The folders of keys below the prefix.
const (
	subnets = machine.Leases
	claims  = "claims/"
)

const (
	ipv4Config = `{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}`
	dualConfig = `{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:5::/48","Backend":{"Type":"vxlan"}}`
)

func openStore(t *testing.T, cfg Config) *Store {
	t.Helper()
	store, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// intercept calls f for each transaction of a store that has not been used yet.
func intercept(store *Store, f func(txn *etcdserverpb.TxnRequest, commit func() error) error) {
	store.config.DialOptions = append(store.config.DialOptions, grpc.WithChainUnaryInterceptor(
		func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			commit := func() error { return invoke(ctx, method, req, reply, cc, opts...) }
			if txn, ok := req.(*etcdserverpb.TxnRequest); ok {
				return f(txn, commit)
			}
			return commit()
		}))
}

// node is a running Store.Run.
type node struct {
	name   string
	cancel context.CancelFunc
	ended  chan struct{}
	err    error

	mu      sync.Mutex
	state   State
	states  int
	changed chan struct{}
}

// self returns the identity of node number i.
func self(i int) subnet.Self {
	return subnet.Self{
		Node:       subnet.Node{ID: fmt.Sprintf("id-%d", i), Name: fmt.Sprintf("n%d", i), Version: "v1"},
		PublicIP:   netip.AddrFrom4([4]byte{192, 168, byte(i / 250), byte(i%250 + 1)}),
		PublicIPv6: netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i+1)),
	}
}

// quick returns options with short times.
func quick(i int) Options {
	return Options{Self: self(i), TTL: time.Hour, AnswerTime: 700 * time.Millisecond, Grace: 20 * time.Second, CheckEvery: 500 * time.Millisecond}
}

func run(t *testing.T, store *Store, opts Options) *node {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	n := &node{name: opts.Self.Node.Name, cancel: cancel, ended: make(chan struct{}), changed: make(chan struct{})}
	go func() {
		defer close(n.ended)
		n.err = store.Run(ctx, opts, n.deliver)
	}()
	t.Cleanup(func() { n.stop(t) })
	return n
}

func (n *node) deliver(s State) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.state, n.states = s, n.states+1
	close(n.changed)
	n.changed = make(chan struct{})
}

// stop ends Run and checks that it returns at once.
func (n *node) stop(t *testing.T) {
	t.Helper()
	n.cancel()
	select {
	case <-n.ended:
	case <-time.After(patience):
		t.Fatalf("%s: Run does not end with its context", n.name)
	}
}

// wait returns the first state that matches.
func (n *node) wait(t *testing.T, what string, fits func(State) bool) State {
	t.Helper()
	deadline := time.After(patience)
	for {
		n.mu.Lock()
		state, changed := n.state, n.changed
		n.mu.Unlock()
		if fits(state) {
			return state
		}
		select {
		case <-changed:
		case <-n.ended:
			t.Fatalf("%s: waiting for %s: Run ended: %v", n.name, what, n.err)
		case <-deadline:
			t.Fatalf("%s: no %s; last state: own %v held %v conflict %q err %v set of %d", n.name, what, state.Own, state.Held, state.Conflict, state.Err, len(state.Set.Records))
		}
	}
}

// next returns the next state.
func (n *node) next(t *testing.T) State {
	t.Helper()
	n.mu.Lock()
	seen := n.states
	n.mu.Unlock()
	return n.wait(t, "state", func(State) bool { n.mu.Lock(); defer n.mu.Unlock(); return n.states > seen })
}

// expectLease checks that two leases are equal.
func expectLease(t *testing.T, want, got subnet.Lease) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Errorf("lease (-want +got):\n%s", diff)
	}
}

func held(s State) bool { return s.Held && s.Conflict == "" && s.Err == nil }

func (n *node) held(t *testing.T) State {
	t.Helper()
	return n.wait(t, "lease", held)
}

// fails waits for Run to end with an error.
func (n *node) fails(t *testing.T, want error) string {
	t.Helper()
	select {
	case <-n.ended:
	case <-time.After(patience):
		t.Fatalf("%s: Run does not end; own %v, err %v", n.name, n.state.Own, n.state.Err)
	}
	if !errors.Is(n.err, want) {
		t.Fatalf("%s: %v, want %v", n.name, n.err, want)
	}
	return n.err.Error()
}
