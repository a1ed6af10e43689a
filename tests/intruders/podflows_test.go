package intruders

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// A pod sends VXLAN and HTTP to another node. If another program masquerades it first, it arrives with the address of its
// own node, which is a peer there. The nodes must drop it, also if the flow began with valid packets.
func TestPodsFlowsToOtherNodes(t *testing.T) {
	b := makeBedOf(t, cluster.DualStack, "PODLANE_HTTP=[::]:9472")
	for _, c := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"the first packets are not podlane's VXLAN", b.startWithValidPackets},
		{"without connection tracking", func(t *testing.T) {
			b.operatorTable(t, "type filter hook prerouting priority raw - 20", `iifname cni0 meta l4proto { tcp, udp } th dport { 8472, 9472 } notrack`)
			b.expectNewFlowsDropped(t)
		}},
		{"another program masquerades first", func(t *testing.T) {
			b.operatorTable(t, "type nat hook postrouting priority srcnat - 10", "oifname eth0 masquerade")
			b.expectNewFlowsDropped(t)
			b.startWithValidPackets(t)
		}},
		{"another program masquerades right after connection tracking", func(t *testing.T) {
			b.operatorTable(t, "type nat hook postrouting priority -150", "oifname eth0 masquerade")
			b.expectNewFlowsDropped(t)
		}},
		{"a Service leads to the other node", b.throughAService},
		{"the other node opens the flow", b.answers},
		{"the flow is older than the table", b.olderThanTheTable},
		{"the other node becomes a peer later", b.newPeer},
	} {
		t.Run(c.name, c.run)
		for _, n := range b.nodes {
			cluster.RunScript(t, n.Place, "nft delete table inet operator 2>/dev/null || true")
		}
	}
}

// operatorTable adds a table with one chain to n1.
func (b *bed) operatorTable(t *testing.T, base, rules string) {
	t.Helper()
	addOperatorTable(t, b.nodes[0], base, rules)
}

func addOperatorTable(t *testing.T, n *lab.Node, base, rules string) {
	t.Helper()
	cluster.RunScript(t, n.Place, fmt.Sprintf("nft 'table inet operator { chain operator { %s; %s; }; }'", base, rules))
}

// podFlow is UDP of a pod of n1 to the VXLAN port of another node, with one source port.
type podFlow struct {
	send     sender
	vtep     net.HardwareAddr
	receiver *receiver // of the datagrams inside
	source   netip.Addr
}

// newPodFlows opens flows to n2.
func (b *bed) newPodFlows(t *testing.T) (flows podFlows) {
	t.Helper()
	pod, n, to := b.pods[0][0], b.nodes[1], b.pods[1][1]
	for _, f := range families {
		flows[f] = podFlow{openSender(t, pod, pod.Addrs[f], tunnelTo(n, f)), vtep(t, n, f), listen(t, to, to.Addrs[f]), pod.Addrs[f]}
	}
	return flows
}

// vxlan returns VXLAN with a numbered datagram to the receiver.
func (p podFlow) vxlan(number uint64) []byte {
	return tunnelled(p.vtep, netip.AddrPortFrom(p.source, 4567), p.receiver.addr, numberedPayload(number))
}

// sendValid sends VXLAN of another VNI, and datagrams that are not VXLAN. A pod may send both.
func (p podFlow) sendValid(t *testing.T) {
	t.Helper()
	otherVNI := tunnelled(make(net.HardwareAddr, 6), netip.AddrPortFrom(p.source, 4567), netip.AddrPortFrom(p.source, 4567), nil)
	binary.BigEndian.PutUint32(otherVNI[4:], 7<<8)
	for range packetCount {
		cluster.Check(t, p.send(otherVNI))
		cluster.Check(t, p.send(numberedPayload(0)))
	}
}

// podFlows holds a flow of each family.
type podFlows [2]podFlow

// expectDropped sends VXLAN. The nodes must drop as many packets, and none may arrive.
func (flows podFlows) expectDropped(t *testing.T, nodes ...*lab.Node) {
	t.Helper()
	const want = len(flows) * packetCount
	arrived := func() int { return len(flows[ipv4].receiver.arrivals()) + len(flows[ipv6].receiver.arrivals()) }
	before, counted := arrived(), dropped(t, nodes...)
	for i := range uint64(packetCount) {
		for _, flow := range flows {
			cluster.Check(t, flow.send(flow.vxlan(i)))
		}
	}
	cluster.Until(t, soon, fmt.Sprintf("%d packets are dropped", want), func() (bool, string) {
		now := dropped(t, nodes...) - counted
		return now >= want, fmt.Sprintf("%d, and %d arrive", now, arrived()-before)
	})
	if got := arrived() - before; got > 0 {
		t.Errorf("%d of %d packets are accepted, want none", got, want)
	}
}

// startWithValidPackets opens flows with packets that are not podlane's VXLAN, and continues them with its VXLAN.
func (b *bed) startWithValidPackets(t *testing.T) {
	flows := b.newPodFlows(t)
	for _, flow := range flows {
		flow.sendValid(t)
	}
	flows.expectDropped(t, b.nodes[:]...)
}

// expectNewFlowsDropped opens flows with podlane's VXLAN, and connections to HTTP.
func (b *bed) expectNewFlowsDropped(t *testing.T) {
	t.Helper()
	b.newPodFlows(t).expectDropped(t, b.nodes[:]...)
	var dialing sync.WaitGroup
	for _, a := range addrs(b.nodes[1]) {
		dialing.Go(func() {
			if c, err := dial(t, b.pods[0][0].Place, netip.AddrPortFrom(a, httpPort).String(), 500*time.Millisecond); err == nil {
				_ = c.Close()
				t.Errorf("a pod reaches HTTP of another node at %s", a)
			}
		})
	}
	dialing.Wait()
}

// throughAService sends to another port, which another program rewrites to the VXLAN port of n2.
func (b *bed) throughAService(t *testing.T) {
	n2, pod, to := b.nodes[1], b.pods[0][0], b.pods[1][1]
	b.operatorTable(t, "type nat hook prerouting priority dstnat",
		fmt.Sprintf("udp dport 9999 dnat ip to %s:8472; udp dport 9999 dnat ip6 to [%s]:8472", n2.Addr, n2.Addr6))
	var flows podFlows
	for f, service := range [...]netip.Addr{ipv4: netip.MustParseAddr("10.96.0.1"), ipv6: netip.MustParseAddr("fd00:96::1")} {
		send := openSender(t, pod, pod.Addrs[f], netip.AddrPortFrom(service, 9999))
		flows[f] = podFlow{send, vtep(t, n2, family(f)), listen(t, to, to.Addrs[f]), pod.Addrs[f]}
	}
	flows.expectDropped(t, b.nodes[:]...)
}

// answers sends VXLAN as the answers of a flow that a pod of n2 opens to a host port of n1. On the way the flow gets
// n2's address and the VXLAN port as its source. By chance, masquerading can choose that port too.
func (b *bed) answers(t *testing.T) {
	n1, n2, pod, to := b.nodes[0], b.nodes[1], b.pods[0][0], b.pods[1][1]
	var flows podFlows
	var answering [2]*receiver
	var dnat, snat string
	for f := range families {
		answering[f] = listen(t, pod, pod.Addrs[f])
		n1At, n2At := addrs(n1)[f], addrs(n2)[f]
		flows[f] = podFlow{answering[f].sender(tunnelTo(n2, family(f))), vtep(t, n2, family(f)), listen(t, to, to.Addrs[f]), pod.Addrs[f]}
		ip := [...]string{"ip", "ip6"}[f]
		dnat += fmt.Sprintf("%s daddr %s udp dport 9000 dnat %[1]s to %[3]s; ", ip, n1At, answering[f].addr)
		snat += fmt.Sprintf("%s daddr %s udp dport 9000 snat %[1]s to %[3]s; ", ip, n1At, netip.AddrPortFrom(n2At, tunnelPort))
	}
	b.operatorTable(t, "type nat hook prerouting priority dstnat", dnat)
	addOperatorTable(t, n2, "type nat hook postrouting priority srcnat - 10", snat)
	for f := range flows {
		opener := openSender(t, b.pods[1][0], b.pods[1][0].Addrs[f], netip.AddrPortFrom(addrs(n1)[f], 9000))
		cluster.Check(t, opener(numberedPayload(1)))
		cluster.Until(t, soon, "the flow reaches the pod", func() (bool, string) {
			return len(answering[f].arrivals()) > 0, fmt.Sprint("nothing arrives at ", answering[f].addr)
		})
	}
	flows.expectDropped(t, b.nodes[:]...)
	cluster.Check(t, n1.Pause())
	cluster.Run(t, n1.Place, "nft delete table inet podlane")
	for _, flow := range flows {
		cluster.Check(t, flow.send(flow.vxlan(packetCount)))
		cluster.Until(t, soon, "VXLAN arrives without the table", func() (bool, string) { return len(flow.receiver.arrivals()) > 0, "none" })
	}
	cluster.Check(t, n1.Resume())
	cluster.AwaitStatus(t, n1, soon, "the table is restored", func(s cluster.Status) bool { return s.Ready && s.Repaired > 0 })
}

// olderThanTheTable opens flows while n1 has no table. Another program gives them the node's address, so n2 accepts
// them. They continue while podlaned starts. When it is ready they have ended.
func (b *bed) olderThanTheTable(t *testing.T) {
	n1, n2, pod := b.nodes[0], b.nodes[1], b.pods[0][0]
	b.operatorTable(t, "type nat hook postrouting priority srcnat - 10", "oifname eth0 masquerade")
	cluster.Stop(t, n1)
	cluster.Run(t, n1.Place, "podlaned cleanup")
	flows := b.newPodFlows(t)
	var conns [2]net.Conn
	var number atomic.Uint64
	for _, f := range families {
		conns[f] = connect(t, pod, netip.AddrPortFrom(addrs(n2)[f], httpPort))
		if _, err := requestHealth(conns[f], 5*time.Second); err != nil {
			t.Errorf("without the table, HTTP of another node: %v", err)
		}
	}
	everyMillisecond(t, func() {
		now := number.Add(1)
		for _, flow := range flows {
			_ = flow.send(flow.vxlan(now)) // a lost packet is not accepted
		}
	})
	for _, flow := range flows {
		cluster.Until(t, soon, "VXLAN arrives without the table", func() (bool, string) { return len(flow.receiver.arrivals()) > 0, "none" })
	}
	cluster.Check(t, n1.Start(cluster.Within(t)))
	cluster.AwaitPeers(t, b.Lab, soon, 1)
	ready := number.Load()
	for _, conn := range conns {
		if answer, err := requestHealth(conn, 300*time.Millisecond); err == nil {
			t.Errorf("HTTP by a connection that is older than the table: %s", answer)
		}
	}
	cluster.Until(t, soon, "300 more packets are sent", func() (bool, string) { return number.Load() >= ready+300, fmt.Sprint(number.Load()) })
	for _, flow := range flows {
		came := flow.receiver.arrivals()
		if last := came[len(came)-1].number; last > ready {
			t.Errorf("VXLAN of a flow that is older than the table: number %d is accepted, but podlaned was ready at %d", last, ready)
		}
		t.Logf("%d of %d are accepted before podlaned is ready", len(came), ready)
	}
}

// newPeer opens flows to a machine that is no peer. Later it is one.
func (b *bed) newPeer(t *testing.T) {
	n1, n3, pod := b.nodes[0], b.nonPeer, b.pods[0][0]
	var flows podFlows
	var conns, accepted [2]net.Conn
	for _, f := range families {
		server := listenTCP(t, n3, netip.AddrPortFrom(addrs(n3)[f], httpPort))
		conns[f] = connect(t, pod, netip.AddrPortFrom(addrs(n3)[f], httpPort))
		accepted[f] = accept(t, server)
		cluster.Check(t, server.Close()) // podlaned needs the port
		expectByte(t, conns[f], accepted[f])
		flows[f] = podFlow{send: openSender(t, pod, pod.Addrs[f], tunnelTo(n3, f)), source: pod.Addrs[f]}
		flows[f].sendValid(t)
	}
	cluster.Check(t, n3.Start(cluster.Within(t)))
	cluster.AwaitPeers(t, b.Lab, soon, 2)
	there, err := b.AddPod(cluster.Within(t), n3, "n3a")
	cluster.Check(t, err)
	for f := range flows {
		flows[f].vtep, flows[f].receiver = vtep(t, n3, family(f)), listen(t, there, there.Addrs[f])
	}
	flows.expectDropped(t, n1, n3)
	counted := dropped(t, n1, n3)
	for _, conn := range conns {
		_, err := conn.Write([]byte{1})
		cluster.Check(t, err)
	}
	cluster.Until(t, soon, "the connections' packets are dropped", func() (bool, string) {
		now := dropped(t, n1, n3) - counted
		return now >= len(conns), fmt.Sprint(now)
	})
	for _, conn := range accepted {
		cluster.Check(t, conn.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
		if n, _ := conn.Read(make([]byte, 1)); n > 0 {
			t.Errorf("a connection to the HTTP port at %s stays open after its node became a peer", conn.LocalAddr())
		}
	}
}
