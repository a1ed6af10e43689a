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

// What counts as ownership.
//
// A node takes a pod subnet when it first delivers a state with Own, Held, and a key that was created at a revision that
// it has not held before. It did so after the state that it delivered before, for the goroutine that delivers also
// writes. It never gives a pod subnet back that it has taken: when it is killed its pods run on. So ownership ends only
// by what is done to etcd from outside: the key is deleted, or its etcd lease runs out. The node learns of that later,
// and until then believes that it still has the pod subnet; when it learns of it, it takes the pod subnet anew where it
// is free. The design allows that belief, and another node that takes what was vacated meanwhile; it allows no node to
// take what was taken and not vacated. That is a register for each half with the operations take and vacate.

// claimed is an operation on one half.
type claimed struct {
	half   netip.Prefix
	node   int
	vacate bool
}

// ownership is the model: the state is the owner, or nobody.
var ownership = porcupine.Model{
	Partition: func(history []porcupine.Operation) (parts [][]porcupine.Operation) {
		by := map[netip.Prefix][]porcupine.Operation{}
		for _, o := range history {
			half := o.Input.(claimed).half
			by[half] = append(by[half], o)
		}
		for _, part := range by {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return nobody },
	Step: func(state, input, _ any) (bool, any) {
		c := input.(claimed)
		if c.vacate {
			return true, nobody
		}
		return state == nobody || state == c.node, c.node
	},
	DescribeOperation: func(input, _ any) string {
		c := input.(claimed)
		if c.vacate {
			return fmt.Sprintf("vacate %s", c.half)
		}
		return fmt.Sprintf("n%d takes %s", c.node, c.half)
	},
}

const nobody = -1

// taking is a pod subnet as one node came to own it.
type taking struct {
	node    int
	pair    subnet.Pair
	created int64 // revision of its key
	known   int64 // revision up to which the node knew everything when it took it
}

// history is what the nodes and the test did.
type history struct {
	mu         sync.Mutex
	start      time.Time
	operations []porcupine.Operation
	takings    []taking
}

func (h *history) now() int64 { return time.Since(h.start).Nanoseconds() }

// add notes an operation on both halves, between two times.
func (h *history) add(node int, p subnet.Pair, vacate bool, call, end int64) {
	for _, f := range subnet.Families {
		if half := p.Half(f); half.IsValid() {
			h.operations = append(h.operations, porcupine.Operation{ClientId: node, Input: claimed{half, node, vacate}, Call: call, Return: end})
		}
	}
}

// vacated notes that a key was deleted between a time and now; in doubt it may yet be.
func (h *history) vacated(p subnet.Pair, call int64, sure bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	end := h.now()
	if !sure {
		end = int64(time.Hour)
	}
	h.add(nobody, p, true, call, end)
}

// follow is the deliver of a node that begins to run.
func (h *history) follow(node int, also func(State)) func(State) {
	var last int64
	held := taking{}
	last = h.now()
	return func(s State) {
		h.mu.Lock()
		defer h.mu.Unlock()
		now := h.now()
		if r, there := s.Set.Find(s.Own.Pair()); s.Held && there && (held.pair != r.Pair() || held.created != r.Created) {
			held = taking{node, r.Pair(), r.Created, s.Set.Revision}
			h.takings = append(h.takings, held)
			h.add(node, held.pair, false, last, now)
		}
		last = now
		also(s)
	}
}

// check is the verdict: linearizable or not, and the history in words where it is not.
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

// replay checks the takings against the store's own history: each is of a key that the node itself created, beside which
// no older key with an address in common stood any more when it was taken; and no key goes from one node to another
// without being deleted.
func replay(t *testing.T, events []*clientv3.Event, takings []taking) {
	t.Helper()
	slices.SortStableFunc(takings, func(a, b taking) int { return cmp.Compare(a.known, b.known) })
	keys := map[string]subnet.Record{}
	for _, e := range events {
		for len(takings) > 0 && takings[0].known < e.Kv.ModRevision {
			stands(t, keys, takings[0])
			takings = takings[1:]
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
	for _, k := range takings {
		stands(t, keys, k)
	}
}

// stands checks a taking against the keys as they stood at the revision that the node knew.
func stands(t *testing.T, keys map[string]subnet.Record, k taking) {
	t.Helper()
	if own := keys[k.pair.Key()]; own.Created != k.created || own.Node.ID != self(k.node).Node.ID {
		t.Errorf("revision %d: n%d takes %s, where %s of revision %d stands", k.known, k.node, k.pair, own, own.Created)
	}
	for _, other := range keys {
		if other.Pair() != k.pair && other.Pair().Overlaps(k.pair) && other.Created < k.created {
			t.Errorf("revision %d: n%d takes %s beside the older %s", k.known, k.node, k.pair, other)
		}
	}
}

// Two nodes that both think they own a pod subnet are found, and one that takes what was vacated is not.
func TestModelTellsTwoOwners(t *testing.T) {
	p := subnet.Pair{IPv4: netip.MustParsePrefix("10.5.1.0/24")}
	h := history{start: time.Now()}
	h.add(1, p, false, 1, 2)
	h.add(nobody, p, true, 3, 6)
	h.add(2, p, false, 4, 5)
	if porcupine.CheckOperations(ownership, h.operations) != true {
		t.Error("vacated and taken by another: want it allowed")
	}
	h.add(1, p, false, 7, 8)
	if porcupine.CheckOperations(ownership, h.operations) {
		t.Error("taken by two nodes: want it refused")
	}
}
