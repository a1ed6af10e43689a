package intruders

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// A peer may send VXLAN. But packets inside it are dropped if their source is in no other node's pod subnet.
func TestPeerSendsFromAddressesThatNoOtherNodeHas(t *testing.T) {
	b := makeBed(t)
	b.disableReversePathFilter(t)
	n1, n2, n3 := b.nodes[0], b.nodes[1], b.nonPeer
	cluster.Check(t, n3.Start(cluster.Within(t)))
	cluster.AwaitPeers(t, b.Lab, soon, 2)
	var forged, asReceiver, ofThird batch
	for f, pod := range b.pods[0][0].Addrs {
		to := listen(t, b.pods[0][0], pod)
		for name, source := range map[string]netip.Addr{
			"an unleased address":                unleased(t, family(f), n1, n2, n3),
			"a pod of the receiving node":        b.pods[0][1].Addrs[f],
			"the gateway of the receiving node":  gateways(t, n1)[f],
			"the receiving node in its overlay":  cluster.OverlayAddr(t, n1, pod),
			"a free address of the pods' bridge": atPart(t, n1, 200, 50)[f],
		} {
			b.addInTunnel(t, &forged, fmt.Sprintf("%s as %s", family(f), name), source, to)
		}
		b.addInTunnel(t, &ofThird, fmt.Sprintf("%s as a pod of a third node", family(f)), cluster.Gateway(t, n3, pod).Next(), listen(t, b.pods[0][1], b.pods[0][1].Addrs[f]))
	}
	b.addInTunnel(t, &asReceiver, "IPv4 as the receiving node", n1.Addr, listen(t, b.pods[0][1], b.pods[0][1].Addrs[ipv4]))
	b.withoutFirewall(t, func() {
		cluster.Run(t, n1.Place, "sysctl -qw net/ipv4/conf/all/accept_local=1")
		forged.expectArrival(t)
		asReceiver.expectArrival(t)
		cluster.Run(t, n1.Place, "sysctl -qw net/ipv4/conf/all/accept_local=0")
	})
	cluster.Kill(t, n2)
	forged.expectDropped(t, n1)
	before := asReceiver.arrived()
	asReceiver.send(t)       // the kernel drops these, so no rule counts them
	ofThird.expectArrival(t) // a peer is trusted with all peers' pod subnets
	if arrived := asReceiver.except(before, asReceiver.arrived(), 0); len(arrived) > 0 {
		t.Error("packets arrive, want none: ", arrived)
	}
	cluster.Kill(t, n3)
	cluster.Check(t, b.Etcd.Delete(cluster.Within(t), cluster.LeaseKey(cluster.SubnetText(t, n3))))
	cluster.AwaitStatus(t, n1, soon, "the third node has left", func(s cluster.Status) bool { return s.Ready && len(s.Peers) == 1 })
	ofThird.expectDropped(t, n1)
}

// addInTunnel adds VXLAN from n2 to n1, with a datagram from source to the receiver inside.
func (b *bed) addInTunnel(t *testing.T, to *batch, name string, source netip.Addr, receiver *receiver) {
	t.Helper()
	f := familyOf(receiver.addr.Addr())
	from, n := b.nodes[1], b.nodes[0]
	payload := tunnelled(vtep(t, n, f), netip.AddrPortFrom(source, 4567), receiver.addr, to.nextPayload())
	to.addVXLAN(name, from, addrs(from)[f], tunnelTo(n, f), payload, receiver)
}

func familyOf(a netip.Addr) family {
	if a.Is4() {
		return ipv4
	}
	return ipv6
}

// tunnelTo returns the underlay address of a node with the tunnels' port.
func tunnelTo(n *lab.Node, f family) netip.AddrPort {
	return netip.AddrPortFrom(addrs(n)[f], tunnelPort)
}
