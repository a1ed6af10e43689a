package intruders

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
	"github.com/podlane/podlane/tests/stream"
)

// batch is intrusions that are sent together. The packets of each carry its index in the batch. So a test can name the
// intrusions that arrive.
type batch []intrusion

// add adds plain datagrams to a batch.
func (b *batch) add(name string, from stream.Place, source netip.Addr, to *receiver) {
	*b = append(*b, intrusion{name: name, from: from, source: source, to: to.addr, payload: b.nextPayload(), receiver: to})
}

// addVXLAN adds VXLAN from an outer source. inside is its payload: a datagram for the receiver.
func (b *batch) addVXLAN(name string, from stream.Place, outer netip.Addr, to netip.AddrPort, inside []byte, receiver *receiver) {
	*b = append(*b, intrusion{name: name, from: from, source: outer, to: to, payload: inside, receiver: receiver})
}

// nextPayload returns the payload of the next intrusion: its number.
func (b *batch) nextPayload() []byte { return numberedPayload(uint64(len(*b))) }

func (b batch) send(t *testing.T) {
	t.Helper()
	for _, i := range b {
		i.send(t)
	}
}

// arrived returns how many packets of each intrusion have arrived in all.
func (b batch) arrived() (counts []int) {
	counts = make([]int, len(b))
	for i := range b {
		for _, a := range b[i].receiver.arrivals() {
			if a.number == uint64(i) {
				counts[i]++
			}
		}
	}
	return counts
}

// except returns the intrusions whose count has not grown by want, each with its growth.
func (b batch) except(before, now []int, want int) (names []string) {
	for i := range b {
		if got := now[i] - before[i]; got != want {
			names = append(names, fmt.Sprintf("%s: %d", b[i].name, got))
		}
	}
	return names
}

// expectArrival sends all packets and expects that all arrive.
func (b batch) expectArrival(t *testing.T) {
	t.Helper()
	before := b.arrived()
	b.send(t)
	cluster.Until(t, soon, fmt.Sprintf("%d packets of each intrusion arrive", packetCount), func() (bool, string) {
		others := b.except(before, b.arrived(), packetCount)
		return len(others) == 0, strings.Join(others, "\n")
	})
}

// expectDropped sends all packets. The nodes must drop and count each, for any reason, and none may arrive.
func (b batch) expectDropped(t *testing.T, nodes ...*lab.Node) {
	t.Helper()
	before, counted := b.arrived(), dropped(t, nodes...)
	b.send(t)
	want := len(b) * packetCount
	cluster.Until(t, soon, fmt.Sprintf("%d packets are dropped", want), func() (bool, string) {
		now := dropped(t, nodes...) - counted
		return now >= want, fmt.Sprintf("%d; these arrive: %s", now, strings.Join(b.except(before, b.arrived(), 0), "\n"))
	})
	if arrived := b.except(before, b.arrived(), 0); len(arrived) > 0 {
		t.Errorf("packets arrive, want none:\n%s", strings.Join(arrived, "\n"))
	}
}

// dropped returns how many packets the nodes with a podlaned have dropped, for any reason.
func dropped(t *testing.T, nodes ...*lab.Node) (packets int) {
	t.Helper()
	for _, n := range nodes {
		_, body := cluster.Get(t, n, "/metrics")
		for line := range strings.Lines(body) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			if strings.HasPrefix(name, "podlane_dropped_packets_total{") {
				count, err := strconv.ParseFloat(value, 64)
				cluster.Check(t, err)
				packets += int(count)
			}
		}
	}
	return packets
}

// unleased returns an address of the pod network that is in no node's pod subnet.
func unleased(t *testing.T, f family, nodes ...*lab.Node) netip.Addr {
	t.Helper()
	for i := 250; ; i-- {
		a := netip.MustParseAddr(fmt.Sprintf([...]string{ipv4: "10.5.%d.9", ipv6: "fd00:5:0:%x::9"}[f], i))
		if !slices.ContainsFunc(nodes, func(n *lab.Node) bool {
			pair, err := n.Subnet()
			cluster.Check(t, err)
			return pair.IPv4.Contains(a) || pair.IPv6.Contains(a)
		}) {
			return a
		}
	}
}
