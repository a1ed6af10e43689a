package etcd

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

// mover is a node that holds a lease and whose address can change.
func mover(t *testing.T, etcd *server, number int) (*node, State, func(netip.Addr)) {
	t.Helper()
	return moverWaiting(t, etcd, number, quick(number).AnswerTime)
}

// moverWaiting is a mover that waits so long for an answer.
func moverWaiting(t *testing.T, etcd *server, number int, answer time.Duration) (*node, State, func(netip.Addr)) {
	t.Helper()
	changes := make(chan subnet.Self)
	opts := quick(number)
	opts.Changes, opts.AnswerTime = changes, answer
	n := run(t, etcd.open(t), opts)
	return n, n.held(t), func(a netip.Addr) {
		t.Helper()
		moved := self(number)
		moved.PublicIP = a
		select {
		case changes <- moved:
		case <-time.After(patience):
			t.Fatal("nobody takes the change")
		}
	}
}

// clashes waits for the conflict with another node's address and checks that everything else is as before.
func clashes(t *testing.T, n *node, before State, words ...string) State {
	t.Helper()
	s := n.wait(t, "conflict", func(s State) bool { return s.Conflict != "" })
	for _, word := range append(words, before.Own.Node.Name, before.Own.PublicIP().String()) {
		if !strings.Contains(s.Conflict, word) {
			t.Errorf("%q does not name %s", s.Conflict, word)
		}
	}
	if !s.Held || s.Own != before.Own || s.Err != nil {
		t.Errorf("held %v, own %v, before %v, %v", s.Held, s.Own, before.Own, s.Err)
	}
	return s
}

func TestNodeMovesToAnAddressInUse(t *testing.T) {
	t.Parallel()
	etcd, peer, other := holder(t, quick(2))
	n, before, move := mover(t, etcd, 1)
	key := before.Own.Pair().Key()
	move(other.Own.IPv4.PublicIP)
	s := clashes(t, n, before, "n2", other.Own.IPv4.PublicIP.String())
	t.Log(s.Conflict)
	for until := time.Now().Add(4 * time.Second); time.Now().Before(until); s = n.next(t) { // it is asked again meanwhile
		if s.Conflict == "" || !s.Held || s.Own != before.Own {
			t.Fatalf("conflict %q, held %v, own %v", s.Conflict, s.Held, s.Own)
		}
	}
	if now := etcd.keys(subnets)[key]; now.value != string(before.Own.Value()) {
		t.Errorf("the lease is now %s", now.value)
	}
	etcd.delete(subnets + key)
	eventually(t, "lease put back as it was", func() bool { return etcd.keys(subnets)[key].value == string(before.Own.Value()) })
	if now := peer.held(t); now.Own != other.Own {
		t.Errorf("the peer's lease is now %v", now.Own)
	}
	peer.stop(t)
	etcd.delete(subnets + other.Own.Pair().Key())
	moved := n.wait(t, "move", func(s State) bool { return held(s) && s.Own.IPv4.PublicIP == other.Own.IPv4.PublicIP })
	if moved.Own.Pair() != before.Own.Pair() {
		t.Errorf("own %v", moved.Own)
	}
	eventually(t, "claim taken back", func() bool { return len(etcd.keys(claims)) == 0 })
}

// The other node is gone, before or after its address was given to this one. Its lease has hours to live.
func TestNodeMovesToARecycledAddress(t *testing.T) {
	for name, late := range map[string]bool{"gone before": false, "gone later": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			etcd, gone, other := holder(t, quick(2))
			n, before, move := mover(t, etcd, 1)
			if !late {
				gone.stop(t)
			}
			move(other.Own.IPv4.PublicIP)
			clashes(t, n, before, "n2")
			if late {
				n.wait(t, "an answer", func(s State) bool { r, _ := s.Set.Find(other.Own.Pair()); return r.Modified > r.Created })
				gone.stop(t)
			}
			start := time.Now()
			moved := n.wait(t, "move", func(s State) bool { return held(s) && s.Own.IPv4.PublicIP == other.Own.IPv4.PublicIP })
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("moved after %v", took)
			}
			if moved.Own.Pair() != before.Own.Pair() || len(moved.Set.Records) != 2 {
				t.Errorf("own %v, set %v", moved.Own, moved.Set.Records)
			}
			eventually(t, "claim taken back", func() bool { return len(etcd.keys(claims)) == 0 })
		})
	}
}

// flannel answers no questions: whether its node is there nobody knows until its lease is gone.
func TestNodeMovesToAnAddressOfFlannel(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	etcd.put(subnets+"10.5.77.0-24", `{"PublicIP":"192.168.0.99","BackendType":"vxlan","BackendData":{"VtepMAC":"02:00:00:00:00:77"}}`)
	n, before, move := mover(t, etcd, 1)
	move(netip.MustParseAddr("192.168.0.99"))
	s := clashes(t, n, before, "flannel", "192.168.0.99")
	for until := time.Now().Add(2 * time.Second); time.Now().Before(until); s = n.next(t) {
		if s.Conflict == "" || s.Own != before.Own {
			t.Fatalf("conflict %q, own %v", s.Conflict, s.Own)
		}
	}
	etcd.delete(subnets + "10.5.77.0-24")
	n.wait(t, "move", func(s State) bool { return held(s) && s.Own.IPv4.PublicIP.String() == "192.168.0.99" })
}

func TestNodeMovesBack(t *testing.T) {
	t.Parallel()
	etcd, _, other := holder(t, quick(2))
	n, before, move := mover(t, etcd, 1)
	move(other.Own.IPv4.PublicIP)
	clashes(t, n, before, "n2")
	move(before.Own.IPv4.PublicIP)
	if s := n.held(t); s.Own != before.Own {
		t.Errorf("own %v, before %v", s.Own, before.Own)
	}
	if now := etcd.keys(subnets)[before.Own.Pair().Key()]; now.value != string(before.Own.Value()) {
		t.Errorf("in etcd %s", now.value)
	}
	eventually(t, "claim taken back", func() bool { return len(etcd.keys(claims)) == 0 })
}

// Two nodes are given each other's address. Neither has the one any more that the other asks for.
func TestNodesSwapAddresses(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	a, first, moveA := mover(t, etcd, 1)
	b, second, moveB := mover(t, etcd, 2)
	moveA(second.Own.IPv4.PublicIP)
	moveB(first.Own.IPv4.PublicIP)
	for n, want := range map[*node]store.State{a: second, b: first} {
		n.wait(t, "the other's address", func(s State) bool { return held(s) && s.Own.IPv4.PublicIP == want.Own.IPv4.PublicIP })
	}
	eventually(t, "no claim", func() bool { return len(etcd.keys(claims)) == 0 })
}

// The silence of one address's holder is not that of another's.
func TestAddressChangesWhileItsHolderIsAsked(t *testing.T) {
	t.Parallel()
	etcd, live, s := holder(t, quick(1))
	gone := self(9)
	leaseOf(etcd, gone, "10.5.50.0-24")
	changes := make(chan subnet.Self)
	opts := quick(2)
	opts.Self.PublicIP, opts.Changes = gone.PublicIP, changes
	n := run(t, etcd.open(t), opts)
	eventually(t, "a claim", func() bool { return len(etcd.keys(claims)) == 1 })
	opts.Self.PublicIP = self(1).PublicIP
	changes <- opts.Self
	<-n.ended
	if !errors.Is(n.err, ErrRefused) {
		t.Errorf("%v, want a refusal", n.err)
	}
	if now := live.held(t); now.Own != s.Own {
		t.Errorf("the live node's lease is now %v", now.Own)
	}
}

// The answer to the write of a changed address is lost: what stands in etcd then is ours, and no other machine's.
func TestAnswerToAMoveIsLost(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	store, opts, changes := etcd.open(t), quick(1), make(chan subnet.Self)
	opts.Changes = changes
	var lost bool
	intercept(store, func(txn *etcdserverpb.TxnRequest, commit func() error) error {
		err := commit()
		if put := txn.Success[0].GetRequestPut(); err == nil && !lost && put != nil && strings.Contains(string(put.Value), "192.168.77.7") {
			lost = true
			return status.Error(codes.Unavailable, "the connection broke")
		}
		return err
	})
	n := run(t, store, opts)
	before := n.held(t)
	moved := self(1)
	moved.PublicIP = netip.MustParseAddr("192.168.77.7")
	changes <- moved
	s := n.wait(t, "move", func(s State) bool { return s.Conflict != "" || held(s) && s.Own.IPv4.PublicIP == moved.PublicIP })
	if s.Conflict != "" || s.Own.Pair() != before.Own.Pair() {
		t.Errorf("conflict %q, own %v", s.Conflict, s.Own)
	}
}
