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

// outsideAddrs are the addresses of the outside.
var outsideAddrs = []netip.Addr{netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("2001:db8:113::1")}

func TestEveryPodReachesEveryPodAndTheOutside(t *testing.T) {
	l := cluster.Start(t, lab.Options{}, 2)
	expectFlat(t, l, cluster.OverlayAddr)
	expectMasquerade(t, l)
}

// expectFlat reaches every pod from every other pod and from every node. It uses ping, TCP and UDP. The pod must see
// the address of the client. A pod has its own address. For another node, source returns it.
func expectFlat(t *testing.T, l *lab.Lab, source func(*testing.T, *lab.Node, netip.Addr) netip.Addr) {
	t.Helper()
	var checks checkList
	for _, to := range l.Pods() {
		for _, a := range to.Addrs {
			mirror := newMirror(t, to.Place, netip.AddrPortFrom(a, 0))
			for _, from := range l.Pods() {
				if from != to {
					checks.add(from.Place, mirror, sameFamily(from.Addrs, a))
				}
			}
			for _, n := range l.Nodes {
				if n == to.Node {
					checks.add(n.Place, mirror, cluster.Gateway(t, n, a))
				} else {
					checks.add(n.Place, mirror, source(t, n, a))
				}
			}
		}
	}
	checks.run(t)
}

// expectMasquerade reaches addresses outside the pod network. A packet that leaves the node must have the node's
// underlay address. A packet to the node itself does not leave it.
func expectMasquerade(t *testing.T, l *lab.Lab) {
	t.Helper()
	var checks checkList
	for _, a := range outsideAddrs {
		if !sameFamily(nodeAddrs(l.Nodes[0]), a).IsValid() {
			continue
		}
		mirror := newMirror(t, l.Outside, netip.AddrPortFrom(a, 0))
		for _, from := range l.Pods() {
			checks.add(from.Place, mirror, sameFamily(nodeAddrs(from.Node), a))
		}
	}
	for _, to := range l.Nodes {
		for _, a := range nodeAddrs(to) {
			underlay := newMirror(t, to.Place, netip.AddrPortFrom(a, 0))
			bridge := newMirror(t, to.Place, netip.AddrPortFrom(cluster.Gateway(t, to, a), 0))
			overlay := newMirror(t, to.Place, netip.AddrPortFrom(cluster.OverlayAddr(t, to, a), 0))
			for _, from := range l.Pods() {
				pod := sameFamily(from.Addrs, a)
				checks.add(from.Place, bridge, pod)
				if from.Node == to {
					checks.add(from.Place, underlay, pod)
				} else {
					checks.add(from.Place, underlay, sameFamily(nodeAddrs(from.Node), a))
				}
				// For the node's own pods the IPv6 address is the anycast address of all routers on their bridge
				// (RFC 4291, section 2.6.1). Linux accepts no TCP connections there.
				if from.Node != to || a.Is4() {
					checks.add(from.Place, overlay, pod)
				}
			}
		}
	}
	checks.run(t)
}

// nodeAddrs returns a node's underlay addresses, in the families of its pods.
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

// sameFamily returns the first address of a's family.
func sameFamily(addrs []netip.Addr, a netip.Addr) netip.Addr {
	for _, b := range addrs {
		if b.Is4() == a.Is4() {
			return b
		}
	}
	return netip.Addr{}
}

// checkList holds connectivity checks that run at the same time.
type checkList []func(context.Context) error

// add adds a check that a place reaches a mirror, and that the mirror sees this source address.
func (q *checkList) add(from *lab.Place, mirror netip.AddrPort, want netip.Addr) {
	*q = append(*q, func(ctx context.Context) error {
		if _, err := from.Ping(ctx, mirror.Addr(), 1); err != nil {
			return fmt.Errorf("%s: %w", from.Name, err)
		}
		return checkSource(ctx, from, mirror, want)
	})
}

func (q *checkList) run(t *testing.T) {
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
	_ = group.Wait() // each has reported its own
	if len(*q) == 0 {
		t.Error("no check was made")
	}
	*q = nil
}

// expectNextPodReached gives a pod's address to the next pod, at once and after a pause. The new pod must answer before
// it has sent anything. The node, another pod of the node and another node ask it.
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
			t.Fatalf("the next pod has %v, want %v", q.Addrs, before)
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
			if i == 1 { // as half a minute later
				cluster.Run(t, n.Place, fmt.Sprintf("ip neighbour change %s dev cni0 nud stale", a))
			}
		}
		cluster.Check(t, q.Delete(cluster.Within(t)))
	}
}

// addPodAgain adds pod q with the first free addresses. For that it removes host-local's record of the last address.
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
