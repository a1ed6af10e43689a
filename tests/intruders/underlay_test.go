package intruders

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// Packets between a pod and another node's underlay address use the overlay in one direction only. In the other they
// use the plain underlay. On the underlay they have the pod's address. With masquerading these are the pod's answers.
// Without it these are all its packets.
func TestPodsAndOtherNodesOnTheUnderlay(t *testing.T) {
	for _, masquerade := range []bool{true, false} {
		t.Run(fmt.Sprintf("masquerade %v", masquerade), func(t *testing.T) {
			l := cluster.Build(t, lab.Options{Nodes: 3, IPv6: true, NodeEnv: func(int) []string {
				return []string{"PODLANE_RESYNC=1s", fmt.Sprintf("PODLANE_IP_MASQ=%v", masquerade)}
			}})
			cluster.Check(t, l.SetConfig(cluster.Within(t), map[bool]string{true: cluster.DualStack, false: cluster.AroundUnderlay}[masquerade]))
			b := &bed{Lab: l, nodes: [2]*lab.Node(l.Nodes), nonPeer: l.Nodes[2]}
			b.start(t)
			b.disableReversePathFilter(t)
			pod, node := b.pods[0][0], b.nodes[1]
			for _, f := range families {
				expectAnswers(t, node.Place, addrs(node)[f], pod.Addrs[f])
				expectAnswers(t, pod.Place, pod.Addrs[f], addrs(node)[f])
			}
			for _, i := range b.forgedPlainPackets(t) {
				t.Run(i.name, i.expectDropped)
			}
		})
	}
}

// expectAnswers expects an answer to each of a few pings from one address to another.
func expectAnswers(t *testing.T, p *lab.Place, from, to netip.Addr) {
	t.Helper()
	if out := cluster.Run(t, p, fmt.Sprintf("ping -q -c%d -i0.05 -W5 -I %s %s", packetCount, from, to)); !strings.Contains(out, " 0% packet loss") {
		t.Errorf("ping from %s to %s: want no loss: %s", from, to, out)
	}
}

// forgedPlainPackets returns plain packets from the machine that is no peer, with pods' addresses. Those of another
// node go to a pod and to the pods' gateway. Those of the node itself go to its agents.
func (b *bed) forgedPlainPackets(t *testing.T) (all []intrusion) {
	t.Helper()
	n := b.nodes[0]
	for _, f := range families {
		pod, far := b.pods[0][0].Addrs[f], b.pods[1][0].Addrs[f]
		cluster.Run(t, b.nonPeer.Place, fmt.Sprintf("ip route add %s via %s", pod, addrs(n)[f]))
		cluster.Run(t, b.nonPeer.Place, fmt.Sprintf("ip route add %s via %s", gateways(t, n)[f], addrs(n)[f]))
		plain := func(name string, p *lab.Place, source, to netip.Addr) {
			receiver := listen(t, p, to)
			all = append(all, intrusion{fmt.Sprintf("%s %s", f, name), b.nonPeer.Place, source, receiver.addr, numberedPayload(1), receiver, n, "pod_source_forged", nil})
		}
		plain("as another node's pod, to a pod", b.pods[0][0].Place, far, pod)
		plain("as another node's pod, to the gateway", n.Place, far, gateways(t, n)[f])
		plain("as this node's pod, to its agent", n.Place, pod, addrs(n)[f])
	}
	return all
}
