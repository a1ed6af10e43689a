package intruders

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
	"github.com/podlane/podlane/tests/stream"
)

// intrusion is packets that must not arrive, and the node that drops them.
type intrusion struct {
	name     string
	from     stream.Place
	source   netip.Addr // their source
	to       netip.AddrPort
	payload  []byte
	receiver *receiver // the receiver, if they arrived
	node     *lab.Node
	reason   string
	open     func(t *testing.T, from stream.Place, source netip.Addr, to netip.AddrPort) sender // nil: openSender
}

// packetCount is the number of packets sent at once. Every queue on the way is longer.
const packetCount = 10

// Each intrusion is made twice. The first time there is no firewall, so nothing else drops it. The second time there
// is.
func TestIntruders(t *testing.T) {
	b := makeBed(t)
	b.disableReversePathFilter(t)
	all := b.intrusions(t)
	b.withoutFirewall(t, func() {
		for _, i := range all {
			t.Run("without a firewall "+i.name, i.expectArrival)
		}
	})
	for _, i := range all {
		t.Run(i.name, i.expectDropped)
	}
	for _, i := range b.validPackets(t) {
		t.Run(i.name, i.expectArrival)
	}
	b.expectStatus(t)
}

// disableReversePathFilter disables the kernel's own check of IPv4 sources, which not all machines have.
func (b *bed) disableReversePathFilter(t *testing.T) {
	t.Helper()
	for _, n := range b.nodes {
		for _, i := range []string{"all", "eth0", "cni0", "podlane.1"} {
			cluster.Run(t, n.Place, "sysctl -qw net/ipv4/conf/"+i+"/rp_filter=0")
		}
	}
}

// withoutFirewall runs f while podlaned is stopped on both nodes and its table is deleted.
func (b *bed) withoutFirewall(t *testing.T, f func()) {
	t.Helper()
	for _, n := range b.nodes {
		cluster.Check(t, n.Pause())
		cluster.Run(t, n.Place, "nft delete table inet podlane")
	}
	f()
	for _, n := range b.nodes {
		cluster.Check(t, n.Resume())
		cluster.Until(t, soon, n.Name+" has its table again", func() (bool, string) {
			out, err := n.Run(cluster.Within(t), "nft", "list", "table", "inet", "podlane")
			return err == nil, out
		})
	}
}

// intrusions returns all intrusions in both families. They aim at n1 and its second pod, or n2 and its second pod.
func (b *bed) intrusions(t *testing.T) (all []intrusion) {
	t.Helper()
	n1, n2, intruder := b.nodes[0], b.nodes[1], b.pods[0][0]
	for _, f := range families {
		pod1, pod2 := listen(t, b.pods[0][1].Place, b.pods[0][1].Addrs[f]), listen(t, b.pods[1][1].Place, b.pods[1][1].Addrs[f])
		agent, gateway := listen(t, n1.Place, addrs(n1)[f]), listen(t, n1.Place, gateways(t, n1)[f])
		nodeAt, otherAt, gatewayAt := addrs(n1)[f], addrs(n2)[f], gateways(t, n1)[f]
		strangerAt, ownAt, peersPodAt := addrs(b.nonPeer)[f], intruder.Addrs[f], b.pods[1][0].Addrs[f]
		worldAt := [...]netip.Addr{netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("2001:db8:113::1")}[f]
		cluster.Run(t, b.nonPeer.Place, fmt.Sprintf("ip route add %s via %s", gatewayAt, nodeAt))
		cluster.Run(t, b.nonPeer.Place, fmt.Sprintf("ip route add %s via %s", pod1.addr.Addr(), nodeAt))
		vxlan := func(name string, from *lab.Place, source, to netip.Addr, node *lab.Node, reason string) {
			i := intrusion{from: from, source: source, to: netip.AddrPortFrom(to, tunnelPort), node: node, reason: reason}
			i.name = fmt.Sprintf("%s VXLAN of %s", f, name)
			if i.receiver = pod1; to == otherAt {
				i.receiver = pod2
				i.payload = tunnelled(vtep(t, n2, f), netip.AddrPortFrom(ownAt, 4567), i.receiver.addr, numberedPayload(1))
			} else {
				i.payload = tunnelled(vtep(t, n1, f), netip.AddrPortFrom(peersPodAt, 4567), i.receiver.addr, numberedPayload(1))
			}
			all = append(all, i)
		}
		vxlan("a host of the underlay that is no peer", b.nonPeer.Place, strangerAt, nodeAt, n1, "vxlan_not_from_a_peer")
		vxlan("a host of the underlay, to the pods' gateway", b.nonPeer.Place, strangerAt, gatewayAt, n1, "vxlan_not_from_a_peer")
		vxlan("a host beyond the underlay", b.Outside, worldAt, nodeAt, n1, "vxlan_not_from_a_peer")
		vxlan("a peer, out of its tunnel", n2.Place, otherAt, gatewayAt, n1, [...]string{"vxlan_from_a_wrong_interface", "vxlan_not_from_a_peer"}[f])
		vxlan("a pod, to its node", intruder.Place, ownAt, nodeAt, n1, "vxlan_from_a_pod")
		vxlan("a pod, to its gateway", intruder.Place, ownAt, gatewayAt, n1, "vxlan_from_a_pod")
		vxlan("a pod, to another node", intruder.Place, ownAt, otherAt, n1, "vxlan_from_a_pod")
		vxlan("a pod as a peer, to its node", intruder.Place, otherAt, nodeAt, n1, "pod_source_forged")
		vxlan("a pod as a peer, to its gateway", intruder.Place, otherAt, gatewayAt, n1, "pod_source_forged")
		vxlan("a pod as another pod, to another node", intruder.Place, peersPodAt, otherAt, n1, "pod_source_forged")
		plain := func(name string, from *lab.Place, source netip.Addr, receiver *receiver) {
			all = append(all, intrusion{fmt.Sprintf("%s %s", f, name), from, source, receiver.addr, numberedPayload(1), receiver, n1, "pod_source_forged", nil})
		}
		plain("a pod as a pod of another node, to a pod there", intruder.Place, peersPodAt, pod2)
		plain("a pod as a pod of another node, to its node's agent", intruder.Place, peersPodAt, agent)
		plain("a pod as a host of the underlay, to a pod of another node", intruder.Place, strangerAt, pod2)
		plain("a pod as a host of the underlay, to its node's agent", intruder.Place, strangerAt, agent)
		plain("a pod as a peer, to its node's agent", intruder.Place, otherAt, agent)
		plain("a host of the underlay as a pod of another node", b.nonPeer.Place, peersPodAt, pod1)
		plain("a host of the underlay as a pod of another node, to the pods' gateway", b.nonPeer.Place, peersPodAt, gateway)
		plain("a host of the underlay as a pod of this node", b.nonPeer.Place, ownAt, pod1)
		plain("a host of the underlay as a pod of this node, to its node's agent", b.nonPeer.Place, ownAt, agent)
	}
	return all
}

// validPackets returns the same packets, but not forged. They must arrive.
func (b *bed) validPackets(t *testing.T) (all []intrusion) {
	t.Helper()
	n1, n2 := b.nodes[0], b.nodes[1]
	for _, f := range families {
		pod1, pod2 := listen(t, b.pods[0][1].Place, b.pods[0][1].Addrs[f]), listen(t, b.pods[1][1].Place, b.pods[1][1].Addrs[f])
		agent := listen(t, n1.Place, addrs(n1)[f])
		inside := tunnelled(vtep(t, n1, f), netip.AddrPortFrom(b.pods[1][0].Addrs[f], 4567), pod1.addr, numberedPayload(1))
		of := func(name string, from *lab.Place, source netip.Addr, to netip.AddrPort, payload []byte, receiver *receiver) {
			all = append(all, intrusion{name: fmt.Sprintf("%s %s", f, name), from: from, source: source, to: to, payload: payload, receiver: receiver})
		}
		of("VXLAN of a peer", n2.Place, addrs(n2)[f], netip.AddrPortFrom(addrs(n1)[f], tunnelPort), inside, pod1)
		of("a pod to a pod of another node", b.pods[0][0].Place, b.pods[0][0].Addrs[f], pod2.addr, numberedPayload(1), pod2)
		of("a pod to its node's agent", b.pods[0][0].Place, b.pods[0][0].Addrs[f], agent.addr, numberedPayload(1), agent)
		of("a host of the underlay to a pod", b.nonPeer.Place, addrs(b.nonPeer)[f], pod1.addr, numberedPayload(1), pod1)
	}
	return all
}

func (i intrusion) send(t *testing.T) {
	t.Helper()
	open := openSender
	if i.open != nil {
		open = i.open
	}
	send := open(t, i.from, i.source, i.to)
	for range packetCount {
		cluster.Check(t, send(i.payload))
	}
}

// expectArrival expects that all packets arrive.
func (i intrusion) expectArrival(t *testing.T) {
	before := len(i.receiver.arrivals())
	i.send(t)
	cluster.Until(t, soon, "all packets arrive", func() (bool, string) {
		got := len(i.receiver.arrivals()) - before
		return got == packetCount, fmt.Sprintf("%d of %d", got, packetCount)
	})
}

// expectDropped expects that no packet arrives and that the node counts all of them.
func (i intrusion) expectDropped(t *testing.T) {
	metric := fmt.Sprintf("podlane_dropped_packets_total{reason=%q}", i.reason)
	before, counted := len(i.receiver.arrivals()), cluster.Metric(t, i.node, metric)
	i.send(t)
	cluster.Until(t, soon, fmt.Sprintf("%s counts it as %s", i.node.Name, i.reason), func() (bool, string) {
		now := cluster.Metric(t, i.node, metric) - counted
		return now >= packetCount, fmt.Sprintf("%v of %d", now, packetCount)
	})
	if now := cluster.Metric(t, i.node, metric) - counted; now != packetCount {
		t.Errorf("%v packets are counted as dropped, want %d", now, packetCount)
	}
	if got := len(i.receiver.arrivals()) - before; got != 0 {
		t.Errorf("%d of %d packets arrived, want none", got, packetCount)
	}
}

// expectStatus expects `podlaned status` to show the numbers of the metrics, which no longer change.
func (b *bed) expectStatus(t *testing.T) {
	t.Helper()
	status := strings.Join(strings.Fields(cluster.Run(t, b.nodes[0].Place, "podlaned status")), " ")
	for _, reason := range []string{"vxlan_not_from_a_peer", "vxlan_from_a_pod", "pod_source_forged"} {
		count := cluster.Metric(t, b.nodes[0], fmt.Sprintf("podlane_dropped_packets_total{reason=%q}", reason))
		want := fmt.Sprintf("dropped %.0f packets: %s", count, strings.ReplaceAll(reason, "_", " "))
		if count == 0 || !strings.Contains(status, want) {
			t.Errorf("podlaned status does not contain %q:\n%s", want, status)
		}
		t.Log(want)
	}
}

// vtep returns the MAC address of a node's VXLAN device.
func vtep(t *testing.T, n *lab.Node, f family) (mac net.HardwareAddr) {
	t.Helper()
	name := [...]string{ipv4: "podlane.1", ipv6: "podlane-v6.1"}[f]
	cluster.Check(t, n.Do(func() error {
		device, err := net.InterfaceByName(name)
		if err == nil {
			mac = device.HardwareAddr
		}
		return err
	}))
	return mac
}
