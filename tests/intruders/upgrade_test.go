package intruders

import (
	_ "embed"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"text/template"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
	"github.com/podlane/podlane/tests/stream"
)

// formerTable is a template of the table that a former version wrote.
//
//go:embed testdata/formertable.nft
var formerTable string

// The nodes have the table of a former version. podlaned starts and replaces it. Meanwhile pods talk, and forged
// packets are sent. No datagram is lost, and no forged packet is accepted.
func TestTableOfAFormerVersionIsReplaced(t *testing.T) {
	b := makeBed(t)
	b.disableReversePathFilter(t)
	var kernels [2]string
	for i, n := range b.nodes {
		cluster.AwaitBridges(t, n)
		kernels[i] = cluster.KernelOf(t, n)
	}
	forged, rounds := b.startForgedPackets(t)
	for range 4 {
		for i, n := range b.nodes {
			cluster.Stop(t, n)
			b.installFormerTable(t, n, b.nodes[1-i])
		}
		pods := b.startStreams(t)
		for i, n := range b.nodes {
			awaitMore(t, rounds, 50)
			cluster.Check(t, n.Start(cluster.Within(t)))
			cluster.Until(t, soon, n.Name+": the table is podlaned's own", func() (bool, string) {
				now := cluster.KernelOf(t, n)
				return now == kernels[i], cluster.Differences(kernels[i], now)
			})
		}
		awaitMore(t, rounds, 50)
		pods.ExpectNothingLost(t)
	}
	none := make([]int, len(forged))
	if arrived := forged.except(none, forged.arrived(), 0); len(arrived) > 0 {
		t.Errorf("of %d packets of each kind these are accepted, want none:\n%s", rounds.Load(), strings.Join(arrived, "\n"))
	}
	b.withoutFirewall(t, func() {
		cluster.Until(t, soon, "every kind of packet is accepted without a firewall", func() (bool, string) {
			counts := forged.arrived()
			for i := range counts {
				if counts[i] == 0 {
					return false, forged[i].name
				}
			}
			return true, ""
		})
	})
}

// installFormerTable replaces the table of a node.
func (b *bed) installFormerTable(t *testing.T, n, peer *lab.Node) {
	t.Helper()
	pair, err := n.Subnet()
	cluster.Check(t, err)
	text := &strings.Builder{}
	cluster.Check(t, template.Must(template.New("").Parse(formerTable)).Execute(text, struct {
		Subnet4, Subnet6 netip.Prefix
		Peer             *lab.Node
	}{pair.IPv4, pair.IPv6, peer}))
	cluster.RunScript(t, n.Place, "nft -f - <<X\ntable inet podlane\ndelete table inet podlane\n"+text.String()+"X\n")
}

// startStreams starts streams between pods of the two nodes, with two datagrams a millisecond in each direction.
func (b *bed) startStreams(t *testing.T) (flood cluster.Flood) {
	t.Helper()
	from, to := b.pods[0][0], b.pods[1][0]
	for f := range families {
		s, err := stream.Start(t.Context(), stream.End{Place: from, Addr: from.Addrs[f]}, stream.End{Place: to, Addr: to.Addrs[f]},
			stream.Options{Every: 500 * time.Microsecond, Connections: cluster.Connections})
		cluster.Check(t, err)
		t.Cleanup(func() { s.Stop() })
		flood = append(flood, s)
	}
	return flood
}

// startForgedPackets sends packets of hosts and pods that must not be accepted, until the test ends. rounds counts how many
// times all were sent.
func (b *bed) startForgedPackets(t *testing.T) (forged batch, rounds *atomic.Uint64) {
	t.Helper()
	n1, n2, pod := b.nodes[0], b.nodes[1], b.pods[0][1]
	for _, f := range families {
		near, far := listen(t, b.pods[0][0], b.pods[0][0].Addrs[f]), listen(t, b.pods[1][1], b.pods[1][1].Addrs[f])
		vxlan := func(name string, from stream.Place, source netip.Addr, n *lab.Node, to *receiver) {
			inside := tunnelled(vtep(t, n, f), netip.AddrPortFrom(b.pods[1-(n.Index-1)][0].Addrs[f], 4567), to.addr, forged.nextPayload())
			forged.addVXLAN(fmt.Sprintf("%s VXLAN of %s to %s", f, name, n.Name), from, source, tunnelTo(n, f), inside, to)
		}
		vxlan("a host", b.nonPeer, addrs(b.nonPeer)[f], n1, near)
		vxlan("a pod", pod, pod.Addrs[f], n1, near)
		vxlan("a pod", pod, pod.Addrs[f], n2, far)
		vxlan("a pod as a peer", pod, addrs(n2)[f], n1, near)
		forged.add(fmt.Sprintf("%s a pod as a pod of another node", f), pod, b.pods[1][0].Addrs[f], far)
		forged.add(fmt.Sprintf("%s a pod as a host", f), pod, addrs(b.nonPeer)[f], far)
		forged.add(fmt.Sprintf("%s a pod as another node, to its node", f), pod, addrs(n2)[f], listen(t, n1, addrs(n1)[f]))
	}
	return forged, forged.sendContinuously(t)
}

// sendContinuously sends one packet of each intrusion a millisecond, until the test ends. It returns a counter: how many
// times it has sent all.
func (b batch) sendContinuously(t *testing.T) *atomic.Uint64 {
	t.Helper()
	var senders []sender
	for _, i := range b {
		senders = append(senders, openSender(t, i.from, i.source, i.to))
	}
	rounds := new(atomic.Uint64)
	everyMillisecond(t, func() {
		for i, send := range senders {
			_ = send(b[i].payload) // a packet that is not sent is not accepted
		}
		rounds.Add(1)
	})
	return rounds
}

// awaitMore waits until a counter has grown by a number.
func awaitMore(t *testing.T, counter *atomic.Uint64, by uint64) {
	t.Helper()
	from := counter.Load()
	cluster.Until(t, soon, fmt.Sprintf("%d more rounds of packets", by), func() (bool, string) {
		now := counter.Load() - from
		return now >= by, fmt.Sprint(now)
	})
}
