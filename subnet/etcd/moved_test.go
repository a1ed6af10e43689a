package etcd

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/podlane/podlane/subnet"
)

// claimOf returns a claim of a node: a question, or the answer about a lease.
func claimOf(s subnet.Self, lease string) string {
	return fmt.Sprintf(`{"NodeID":%q,"Node":%q,"PublicIP":%q,"Lease":%q}`, s.Node.ID, s.Node.Name, s.PublicIP, lease)
}

// long is a time for answers that no test waits for. prompt is how soon a node must have its new address without that wait.
const (
	long   = 40 * time.Second
	prompt = 10 * time.Second
)

// rotation holds nodes. Each gets the address of the next one.
type rotation struct {
	nodes  []*node
	before []State
	move   []func(netip.Addr)
}

func newRotation(t *testing.T, etcd *server, nodes int) (r rotation) {
	t.Helper()
	for i := range nodes {
		n, s, move := moverWaiting(t, etcd, i, long)
		r.nodes, r.before, r.move = append(r.nodes, n), append(r.before, s), append(r.move, move)
	}
	for _, n := range r.nodes {
		n.wait(t, "all peers", func(s State) bool { return held(s) && len(s.Set.Records) >= nodes })
	}
	return r
}

// expect waits until each node has the address of the next one, and its own pod subnet.
func (r rotation) expect(t *testing.T, began time.Time) {
	t.Helper()
	for i, n := range r.nodes {
		want := r.before[(i+1)%len(r.nodes)].Own.IPv4.PublicIP
		s := n.wait(t, "the next one's address", func(s State) bool { return held(s) && s.Own.IPv4.PublicIP == want })
		if s.Own.Pair() != r.before[i].Own.Pair() {
			t.Errorf("own %v, before %v", s.Own, r.before[i].Own)
		}
	}
	if took := time.Since(began); took > prompt {
		t.Errorf("after %v", took)
	} else {
		t.Logf("after %v", took.Round(time.Millisecond))
	}
}

func TestLiveNodesThatSwapAddressesDoNotWait(t *testing.T) {
	t.Parallel()
	for name, nodes := range map[string]int{"two swap": 2, "three rotate": 3, "five rotate": 5} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			etcd := startEtcd(t)
			etcd.put("config", ipv4Config)
			r := newRotation(t, etcd, nodes)
			began := time.Now()
			for i, move := range r.move {
				move(r.before[(i+1)%nodes].Own.IPv4.PublicIP)
			}
			r.expect(t, began)
		})
	}
}

// The first node has asked and got its answer before the second notices that its own address changed.
func TestSwapThatOneNodeNoticesLater(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	r := newRotation(t, etcd, 2)
	r.move[0](r.before[1].Own.IPv4.PublicIP)
	r.nodes[0].wait(t, "an answer", func(s State) bool {
		other, _ := s.Set.Find(r.before[1].Own.Pair())
		return s.Conflict != "" && other.Modified > other.Created
	})
	began := time.Now()
	r.move[1](r.before[0].Own.IPv4.PublicIP)
	r.expect(t, began)
}

// Its address belongs to another live node, and the address in its lease now belongs to a third. No node waits for the one
// that the second node waits for.
func TestAddressOfANodeThatWaitsForAnother(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	etcd.put(subnets+"10.5.77.0-24", `{"PublicIP":"192.168.0.99","BackendType":"vxlan","BackendData":{"VtepMAC":"02:00:00:00:00:77"}}`)
	r := newRotation(t, etcd, 2)
	r.move[1](netip.MustParseAddr("192.168.0.99"))
	clashes(t, r.nodes[1], r.before[1], "flannel")
	began := time.Now()
	want := r.before[1].Own.IPv4.PublicIP
	r.move[0](want)
	r.nodes[0].wait(t, "the address", func(s State) bool { return held(s) && s.Own.IPv4.PublicIP == want })
	if took := time.Since(began); took > prompt {
		t.Errorf("after %v", took)
	}
	clashes(t, r.nodes[1], r.before[1], "flannel")
	// It moves back, and then it waits.
	r.move[1](want)
	r.nodes[1].wait(t, "no conflict of its own", func(s State) bool { return s.Own.IPv4.PublicIP == want && s.Conflict == "" })
}

// A new node has the former address of a live node. It does not get that node's pod subnet.
func TestNewcomerWithAnAddressThatALiveNodeHasLeft(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	etcd.put(subnets+"10.5.77.0-24", `{"PublicIP":"192.168.0.99","BackendType":"vxlan","BackendData":{"VtepMAC":"02:00:00:00:00:77"}}`)
	r := newRotation(t, etcd, 1)
	r.move[0](netip.MustParseAddr("192.168.0.99"))
	clashes(t, r.nodes[0], r.before[0], "flannel")
	opts := quick(5)
	opts.Self.PublicIP, opts.AnswerTime = r.before[0].Own.IPv4.PublicIP, long
	began := time.Now()
	s := run(t, etcd.open(t), opts).held(t)
	if took := time.Since(began); took > prompt {
		t.Errorf("after %v", took)
	}
	if s.Own.Pair() == r.before[0].Own.Pair() {
		t.Errorf("the newcomer has the live node's pod subnet %s", s.Own.Pair())
	}
	now := r.nodes[0].wait(t, "the newcomer", func(s State) bool { return len(s.Set.Records) == 3 })
	if !now.Held || now.Own != r.before[0].Own {
		t.Errorf("the live node: held %v, own %v, before %v", now.Held, now.Own, r.before[0].Own)
	}
}

// One of two nodes that swap is silent, as if it were gone. The other waits, and its question gets no answer.
func TestSilentNodeIsWaitedForThoughOthersAnswer(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	const answer = 3 * time.Second
	n, before, move := moverWaiting(t, etcd, 1, answer)
	silent, other, _ := moverWaiting(t, etcd, 2, answer)
	silent.stop(t)
	n.wait(t, "the other", func(s State) bool { return len(s.Set.Records) == 2 })
	// Answers that do not count: from its clone with another lease, and its own from before the question.
	clone := self(2)
	clone.PublicIP = netip.MustParseAddr("192.168.55.5")
	etcd.put(claims+"moved-early", claimOf(clone, other.Own.Pair().Key()))
	began := time.Now()
	move(other.Own.IPv4.PublicIP)
	clashes(t, n, before, "n2")
	eventually(t, "a question", func() bool { return len(etcd.keys(claims)) == 2 })
	etcd.put(claims+"id-2", claimOf(clone, ""))                          // a question of the clone
	etcd.put(claims+"moved-a", claimOf(clone, before.Own.Pair().Key()))  // of another lease
	etcd.put(claims+"moved-b", claimOf(self(2), other.Own.Pair().Key())) // it still has the address
	stranger := self(3)
	etcd.put(claims+"moved-c", claimOf(stranger, other.Own.Pair().Key())) // of another node
	n.wait(t, "move", func(s State) bool { return held(s) && s.Own.IPv4.PublicIP == other.Own.IPv4.PublicIP })
	if took := time.Since(began); took < answer {
		t.Errorf("after %v", took)
	}
}
