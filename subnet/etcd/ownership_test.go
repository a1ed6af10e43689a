package etcd

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/podlane/podlane/subnet"
)

// What counts as ownership?
//
// A node acquires a pod subnet. The first state that it then delivers has Own, Held, and a key that was created at a new
// revision. The node wrote the key after the state that it delivered before, because the same goroutine writes and delivers. It
// never gives back an acquired pod subnet: its pods continue when it is killed. So only a change of etcd from outside ends
// ownership: the key is deleted, or its etcd lease ends. The pod subnet is then vacated.
//
// The node receives that later, and until then believes that it has the pod subnet. Then it acquires the pod subnet again if it
// is free. The design allows that belief, and another node that acquires a free pod subnet meanwhile. It allows no node to
// acquire a pod subnet that is acquired and not vacated. So each half is a register with the operations acquire and vacate.

// operation is an operation on one half. If it does not vacate the half, the node acquires it.
type operation struct {
	half   netip.Prefix
	node   int
	vacate bool
}

// ownership is the model: the state is the owner, or noNode.
var ownership = porcupine.Model{
	Partition: func(history []porcupine.Operation) (parts [][]porcupine.Operation) {
		by := map[netip.Prefix][]porcupine.Operation{}
		for _, o := range history {
			half := o.Input.(operation).half
			by[half] = append(by[half], o)
		}
		for _, part := range by {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return noNode },
	Step: func(state, input, _ any) (bool, any) {
		c := input.(operation)
		if c.vacate {
			return true, noNode
		}
		return state == noNode || state == c.node, c.node
	},
	DescribeOperation: func(input, _ any) string {
		c := input.(operation)
		if c.vacate {
			return fmt.Sprintf("vacate %s", c.half)
		}
		return fmt.Sprintf("n%d acquires %s", c.node, c.half)
	},
}

const noNode = -1

// acquisition is a pod subnet that a node has acquired.
type acquisition struct {
	node    int
	pair    subnet.Pair
	created int64 // revision of its key
	known   int64 // revision up to which the node knew everything when it acquired it
}

// history holds what the nodes and the test did.
type history struct {
	mu         sync.Mutex
	start      time.Time
	operations []porcupine.Operation
	acquired   []acquisition
}

func (h *history) now() int64 { return time.Since(h.start).Nanoseconds() }

// add records an operation on both halves, between two times.
func (h *history) add(node int, p subnet.Pair, vacate bool, call, end int64) {
	for _, f := range subnet.Families {
		if half := p.Half(f); half.IsValid() {
			h.operations = append(h.operations, porcupine.Operation{ClientId: node, Input: operation{half, node, vacate}, Call: call, Return: end})
		}
	}
}

// vacated records that a key was deleted between a time and now. In doubt it may be deleted later.
func (h *history) vacated(p subnet.Pair, call int64, sure bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	end := h.now()
	if !sure {
		end = int64(time.Hour)
	}
	h.add(noNode, p, true, call, end)
}

// record returns the deliver function of a node that starts.
func (h *history) record(node int, also func(State)) func(State) {
	var last int64
	held := acquisition{}
	last = h.now()
	return func(s State) {
		h.mu.Lock()
		defer h.mu.Unlock()
		now := h.now()
		if r, there := s.Set.Find(s.Own.Pair()); s.Held && there && (held.pair != r.Pair() || held.created != r.Created) {
			held = acquisition{node, r.Pair(), r.Created, s.Set.Revision}
			h.acquired = append(h.acquired, held)
			h.add(node, held.pair, false, last, now)
		}
		last = now
		also(s)
	}
}

// check reports an error if the history is not linearizable.
func (h *history) check(t *testing.T) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	result, info := porcupine.CheckOperationsVerbose(ownership, h.operations, time.Minute)
	if result != porcupine.Ok {
		t.Errorf("the history of %d operations is not linearizable (%s): a pod subnet had two owners", len(h.operations), result)
		if path := t.ArtifactDir() + "/history.html"; porcupine.VisualizePath(ownership, info, path) == nil {
			t.Logf("see %s", path)
		}
	}
}

// replay checks the acquisitions against the store's own history:
//   - the node itself created the key
//   - no older key that overlaps it existed when it was acquired
//   - no key goes from one node to another without being deleted
func replay(t *testing.T, events []*clientv3.Event, acquired []acquisition) {
	t.Helper()
	slices.SortStableFunc(acquired, func(a, b acquisition) int { return cmp.Compare(a.known, b.known) })
	keys := map[string]subnet.Record{}
	for _, e := range events {
		for len(acquired) > 0 && acquired[0].known < e.Kv.ModRevision {
			checkAcquisition(t, keys, acquired[0])
			acquired = acquired[1:]
		}
		key := string(e.Kv.Key)[len(DefaultPrefix+"/"+subnets):]
		if e.Type == mvccpb.DELETE {
			delete(keys, key)
			continue
		}
		l, err := subnet.ParseLease(key, e.Kv.Value)
		if err != nil {
			t.Fatal(err)
		}
		if was, there := keys[key]; there && was.Node.ID != l.Node.ID {
			t.Errorf("revision %d: %s goes from %s to %s", e.Kv.ModRevision, key, was.Node.ID, l.Node.ID)
		}
		keys[key] = subnet.Record{Lease: l, Created: e.Kv.CreateRevision}
	}
	for _, k := range acquired {
		checkAcquisition(t, keys, k)
	}
}

// checkAcquisition checks an acquisition against the keys at the revision that the node knew.
func checkAcquisition(t *testing.T, keys map[string]subnet.Record, k acquisition) {
	t.Helper()
	if own := keys[k.pair.Key()]; own.Created != k.created || own.Node.ID != self(k.node).Node.ID {
		t.Errorf("revision %d: n%d acquires %s, and its key has %s of revision %d", k.known, k.node, k.pair, own, own.Created)
	}
	for _, other := range keys {
		if other.Pair() != k.pair && other.Pair().Overlaps(k.pair) && other.Created < k.created {
			t.Errorf("revision %d: n%d acquires %s beside the older %s", k.known, k.node, k.pair, other)
		}
	}
}

// The model finds two owners of a pod subnet. It accepts the acquisition of a vacated one.
func TestModelFindsTwoOwners(t *testing.T) {
	p := subnet.Pair{IPv4: netip.MustParsePrefix("10.5.1.0/24")}
	h := history{start: time.Now()}
	h.add(1, p, false, 1, 2)
	h.add(noNode, p, true, 3, 6)
	h.add(2, p, false, 4, 5)
	if porcupine.CheckOperations(ownership, h.operations) != true {
		t.Error("vacated and acquired by another node: want it allowed")
	}
	h.add(1, p, false, 7, 8)
	if porcupine.CheckOperations(ownership, h.operations) {
		t.Error("acquired by two nodes: want it refused")
	}
}
