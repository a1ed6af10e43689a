package intruders

import (
	"fmt"
	"testing"

	"github.com/podlane/podlane/tests/cluster"
)

// An interface of a node is deleted and created again, so the table has rules for its former index. Meanwhile a pod sends
// as a pod of another node, and a host that is no peer sends VXLAN. Nothing is accepted, before podlaned has rewritten the
// rules and after.
func TestForgeryWhileAnInterfaceIsCreatedAgain(t *testing.T) {
	b := makeBed(t)
	b.disableReversePathFilter(t)
	n := b.nodes[0]
	cluster.Run(t, n.Place, "sysctl -qw net.ipv4.conf.default.rp_filter=0")
	outside, pod := b.startForgery(t), b.startPodForgery(t)
	for _, r := range cluster.Recreations {
		cluster.AwaitIndex(t, n, r.Interface)
		for _, paused := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, podlaned paused: %v", r.Interface, paused), func(t *testing.T) {
				if paused {
					cluster.Check(t, n.Pause())
				}
				r.Do(t, n, paused)
				if paused {
					b.awaitDrops(t, "with the former index")
					cluster.Check(t, n.Resume())
				}
				cluster.AwaitIndex(t, n, r.Interface)
				b.awaitDrops(t, "with the new index")
				count, _ := outside.received()
				for _, receiver := range pod {
					count += len(receiver.arrivals())
				}
				if count > 0 {
					t.Errorf("%d forged packets were accepted", count)
				}
			})
		}
	}
}

// startPodForgery sends from the first pod of n1, as a pod of n2, to another pod of n2: one packet of each family a
// millisecond. It returns the receivers.
func (b *bed) startPodForgery(t *testing.T) (receivers []*receiver) {
	t.Helper()
	for _, f := range families {
		r := listen(t, b.pods[1][1].Place, b.pods[1][1].Addrs[f])
		send := openSender(t, b.pods[0][0].Place, b.pods[1][0].Addrs[f], r.addr)
		everyMillisecond(t, func() { _ = send(numberedPayload(1)) }) // sending fails while there is no route
		receivers = append(receivers, r)
	}
	return receivers
}

// awaitDrops waits until n1 has dropped further packets of both forgeries.
func (b *bed) awaitDrops(t *testing.T, when string) {
	t.Helper()
	const packets = 100
	before := cluster.Drops(t, b.nodes[0])
	cluster.Until(t, soon, "forged packets are dropped "+when, func() (bool, string) {
		now := cluster.Drops(t, b.nodes[0])
		for _, reason := range []string{"vxlan_not_from_a_peer", "pod_source_forged"} {
			if now[reason] < before[reason]+packets {
				return false, fmt.Sprint(now)
			}
		}
		return true, ""
	})
}
