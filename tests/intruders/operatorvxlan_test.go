package intruders

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
	"github.com/podlane/podlane/tests/stream"
)

// An operator has VXLAN devices between a node and a machine that is no peer. They have podlane's port and another VNI,
// or another port and podlane's VNI. They work before podlaned's start, during its run and after its cleanup.
func TestOperatorsOwnVXLAN(t *testing.T) {
	l := cluster.Build(t, lab.Options{Nodes: 3, IPv6: true})
	cluster.Check(t, l.SetConfig(cluster.Within(t), cluster.DualStack))
	b := &bed{Lab: l, nodes: [2]*lab.Node(l.Nodes), nonPeer: l.Nodes[2]}
	var traffic cluster.Flood
	for _, f := range families {
		traffic = append(traffic, b.operatorsTunnel(t, f, 7, tunnelPort), b.operatorsTunnel(t, f, tunnelVNI, 4790))
	}
	b.start(t)
	for _, f := range families {
		traffic = append(traffic, b.operatorsTunnel(t, f, 9, tunnelPort))
	}
	pods := cluster.StartFlood(t, [2]*lab.Pod{b.pods[0][0], b.pods[1][0]})
	b.expectUntracked(t)
	cluster.Check(t, b.nodes[0].Restart(cluster.Within(t)))
	b.expectUntracked(t)
	cluster.Run(t, b.nodes[0].Place, "nft delete table inet podlane")
	cluster.AwaitStatus(t, b.nodes[0], soon, "the table is restored", func(s cluster.Status) bool { return s.Ready && s.Repaired > 0 })
	pods.ExpectNothingLost(t)
	cluster.Stop(t, b.nodes[0])
	cluster.Run(t, b.nodes[0].Place, "podlaned cleanup")
	traffic.ExpectNothingLost(t)
}

// operatorsTunnel makes a VXLAN device on n1 and on the other machine, over one family's underlay. It starts a stream
// through it.
func (b *bed) operatorsTunnel(t *testing.T, f family, vni, port int) *stream.Stream {
	t.Helper()
	ends := [...]*lab.Node{b.nodes[0], b.nonPeer}
	inside := [...]netip.Addr{netip.AddrFrom4([4]byte{192, 168, byte(10*vni + int(f) + port%2), 1}), netip.AddrFrom4([4]byte{192, 168, byte(10*vni + int(f) + port%2), 2})}
	for i, n := range ends {
		name := fmt.Sprintf("op%d-%d-%d", f, vni, port)
		cluster.Run(t, n.Place, fmt.Sprintf("ip link add %s type vxlan id %d dstport %d local %s remote %s", name, vni, port, addrs(n)[f], addrs(ends[1-i])[f]))
		cluster.Run(t, n.Place, fmt.Sprintf("ip address add %s/24 dev %s", inside[i], name))
		cluster.Run(t, n.Place, "ip link set up dev "+name)
	}
	s, err := stream.Start(t.Context(), stream.End{Place: ends[0], Addr: inside[0]}, stream.End{Place: ends[1], Addr: inside[1]}, stream.Options{Connections: 2})
	cluster.Check(t, err)
	t.Cleanup(func() { s.Stop() })
	return s
}

// expectUntracked expects that conntrack has no entry of the tunnel between the nodes. It must have entries of the
// operator's tunnel. Otherwise the kernel tracks nothing, and the test proves nothing.
func (b *bed) expectUntracked(t *testing.T) {
	t.Helper()
	n := b.nodes[0]
	for _, f := range families {
		cluster.Until(t, 5*time.Second, fmt.Sprintf("the operator's tunnel by %s is tracked", f), func() (bool, string) {
			operators, ours := conntrackEntries(t, n, f, addrs(b.nonPeer)[f]), conntrackEntries(t, n, f, addrs(b.nodes[1])[f])
			if ours > 0 {
				t.Errorf("%s: conntrack has %d entries of podlane's tunnel by %s, want none", n.Name, ours, f)
			}
			return operators > 0, "no entry"
		})
	}
}

// conntrackEntries counts the entries for the tunnels' port between a node and an address.
func conntrackEntries(t *testing.T, n *lab.Node, f family, other netip.Addr) (count int) {
	t.Helper()
	family := [...]netlink.InetFamily{ipv4: unix.AF_INET, ipv6: unix.AF_INET6}[f]
	cluster.Check(t, n.Do(func() error {
		flows, err := netlink.ConntrackTableList(netlink.ConntrackTable, family)
		for _, flow := range flows {
			way := flow.Forward
			if (way.DstPort == tunnelPort || way.SrcPort == tunnelPort) && (way.SrcIP.Equal(other.AsSlice()) || way.DstIP.Equal(other.AsSlice())) {
				count++
			}
		}
		return err
	}))
	return count
}
