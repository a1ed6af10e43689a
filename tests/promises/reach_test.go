package promises

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// world is the outside's own addresses.
var world = []netip.Addr{netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("2001:db8:113::1")}

func TestEveryPodReachesEveryPodAndTheOutside(t *testing.T) {
	l := cluster.Start(t, lab.Options{}, 2)
	expectFlat(t, l, cluster.OverlayAddr)
	expectMasquerade(t, l)
}

// expectFlat asks every pod from every other pod and from every node, its own too: by ping, TCP and UDP. What a pod sees
// is the asker's own address: of a pod the pod's, of another node the one that source gives.
func expectFlat(t *testing.T, l *lab.Lab, source func(*testing.T, *lab.Node, netip.Addr) netip.Addr) {
	t.Helper()
	var asks questions
	for _, to := range l.Pods() {
		for _, a := range to.Addrs {
			mirror := newMirror(t, to.Place, netip.AddrPortFrom(a, 0))
			for _, from := range l.Pods() {
				if from != to {
					asks.add(from.Place, mirror, sameFamily(from.Addrs, a))
				}
			}
			for _, n := range l.Nodes {
				if n == to.Node {
					asks.add(n.Place, mirror, cluster.Gateway(t, n, a))
				} else {
					asks.add(n.Place, mirror, source(t, n, a))
				}
			}
		}
	}
	asks.ask(t)
}

// expectMasquerade asks what is not in the pod network. What leaves the node comes from the node's address on the
// underlay; what goes to the node itself does not leave it.
func expectMasquerade(t *testing.T, l *lab.Lab) {
	t.Helper()
	var asks questions
	for _, a := range world {
		if !sameFamily(nodeAddrs(l.Nodes[0]), a).IsValid() {
			continue
		}
		mirror := newMirror(t, l.Outside, netip.AddrPortFrom(a, 0))
		for _, from := range l.Pods() {
			asks.add(from.Place, mirror, sameFamily(nodeAddrs(from.Node), a))
		}
	}
	for _, to := range l.Nodes {
		for _, a := range nodeAddrs(to) {
			underlay := newMirror(t, to.Place, netip.AddrPortFrom(a, 0))
			bridge := newMirror(t, to.Place, netip.AddrPortFrom(cluster.Gateway(t, to, a), 0))
			overlay := newMirror(t, to.Place, netip.AddrPortFrom(cluster.OverlayAddr(t, to, a), 0))
			for _, from := range l.Pods() {
				pod := sameFamily(from.Addrs, a)
				asks.add(from.Place, bridge, pod)
				if from.Node == to {
					asks.add(from.Place, underlay, pod)
				} else {
					asks.add(from.Place, underlay, sameFamily(nodeAddrs(from.Node), a))
				}
				// To pods of the node the IPv6 one is the anycast address of all routers on their bridge (RFC 4291,
				// section 2.6.1), by which Linux takes no TCP connections.
				if from.Node != to || a.Is4() {
					asks.add(from.Place, overlay, pod)
				}
			}
		}
	}
	asks.ask(t)
}

// nodeAddrs is a node's addresses on the underlay in the families that its pods have.
func nodeAddrs(n *lab.Node) []netip.Addr {
	p, err := n.Subnet()
	var addrs []netip.Addr
	if err == nil && p.IPv4.IsValid() {
		addrs = append(addrs, n.Addr)
	}
	if err == nil && p.IPv6.IsValid() {
		addrs = append(addrs, n.Addr6)
	}
	return addrs
}

// sameFamily is the one of some addresses that is of the family of a.
func sameFamily(addrs []netip.Addr, a netip.Addr) netip.Addr {
	for _, b := range addrs {
		if b.Is4() == a.Is4() {
			return b
		}
	}
	return netip.Addr{}
}

// questions are asked all at once.
type questions []func(context.Context) error

// add asks whether a place reaches a mirror, and whether the mirror sees it come from an address.
func (q *questions) add(from *lab.Place, mirror netip.AddrPort, want netip.Addr) {
	*q = append(*q, func(ctx context.Context) error {
		if _, err := from.Ping(ctx, mirror.Addr(), 1); err != nil {
			return fmt.Errorf("%s: %w", from.Name, err)
		}
		return sees(ctx, from, mirror, want)
	})
}

func (q *questions) ask(t *testing.T) {
	t.Helper()
	var group errgroup.Group
	group.SetLimit(8)
	ctx := cluster.Within(t)
	for _, question := range *q {
		group.Go(func() error {
			if err := question(ctx); err != nil {
				t.Error(err)
			}
			return nil
		})
	}
	_ = group.Wait() // each has told its own
	if len(*q) == 0 {
		t.Error("nothing was asked")
	}
	*q = nil
}

// expectNextPodReached gives a pod's address to the next pod, at once and after a pause. It pings that pod before it has
// sent anything: from the node, from another pod of the node and from another node.
func expectNextPodReached(t *testing.T, l *lab.Lab) {
	t.Helper()
	n, other := l.Nodes[0], l.Nodes[1]
	sibling := l.Pods()[0]
	if sibling.Node != n {
		t.Fatalf("%s is not on %s", sibling.Name, n.Name)
	}
	var before []netip.Addr
	for i := range 4 {
		q := addPodAgain(t, l, n)
		if i > 0 && !slices.Equal(q.Addrs, before) {
			t.Fatalf("the next pod got %v instead of %v", q.Addrs, before)
		}
		before = q.Addrs
		for _, a := range q.Addrs {
			for _, from := range []*lab.Place{n.Place, other.Place, sibling.Place} {
				if _, err := from.Ping(cluster.Within(t), a, 1); err != nil {
					t.Errorf("pod %d with the address %s: %v", i+1, a, err)
				}
			}
		}
		for _, a := range q.Addrs {
			if i == 1 { // half a minute later
				cluster.Run(t, n.Place, fmt.Sprintf("ip neighbour change %s dev cni0 nud stale", a))
			}
		}
		cluster.Check(t, q.Delete(cluster.Within(t)))
	}
}

// addPodAgain adds pod q, which gets the first free addresses: host-local's record of the last address is removed.
func addPodAgain(t *testing.T, l *lab.Lab, n *lab.Node) *lab.Pod {
	t.Helper()
	last, err := filepath.Glob(filepath.Join(n.IPAMDir(), "podlane", "last_reserved_ip.*"))
	cluster.Check(t, err)
	for _, file := range last {
		cluster.Check(t, os.Remove(file))
	}
	q, err := l.AddPod(cluster.Within(t), n, "q")
	cluster.Check(t, err)
	return q
}
