package intruders

import (
	"fmt"
	"testing"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// The same intrusions if the pod network contains the underlay. All are sent at once, because nodes read the counters
// once a second.
func TestIntrudersIfThePodNetworkContainsTheUnderlay(t *testing.T) {
	b := makeBedOf(t, cluster.AroundUnderlay, "PODLANE_HTTP=[::]:9472")
	b.disableReversePathFilter(t)
	all := b.intrusions(t)
	b.withoutFirewall(t, func() {
		for _, i := range all {
			t.Run("without a firewall "+i.name, i.expectArrival)
		}
	})
	b.expectAllDropped(t, all)
	for _, i := range b.validPackets(t) {
		t.Run(i.name, i.expectArrival)
	}
	for _, n := range b.nodes {
		for _, a := range addrs(n) {
			for _, other := range b.nodes {
				expectHTTP(t, other.Place, a.String(), true)
			}
			expectClosedToPods(t, b.Lab, n, a)
		}
	}
}

// expectAllDropped sends all packets. None may arrive. The nodes must count each by its reason.
func (b *bed) expectAllDropped(t *testing.T, all []intrusion) {
	t.Helper()
	type count struct {
		node   *lab.Node
		metric string
	}
	want, arrived := map[count]float64{}, map[*receiver]int{}
	for _, i := range all {
		c := count{i.node, fmt.Sprintf("podlane_dropped_packets_total{reason=%q}", i.reason)}
		if _, known := want[c]; !known {
			want[c] = cluster.Metric(t, c.node, c.metric)
		}
		want[c] += packetCount
		arrived[i.receiver] = len(i.receiver.arrivals())
	}
	for _, i := range all {
		i.send(t)
	}
	for c, count := range want {
		cluster.Until(t, soon, fmt.Sprintf("%s counts %s up to %v", c.node.Name, c.metric, count), func() (bool, string) {
			now := cluster.Metric(t, c.node, c.metric)
			return now == count, fmt.Sprint(now)
		})
	}
	for receiver, before := range arrived {
		if got := len(receiver.arrivals()) - before; got != 0 {
			t.Errorf("%d packets arrived at %s, want none", got, receiver.addr)
		}
	}
}
