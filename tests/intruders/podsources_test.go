package intruders

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/lab/sandbox"
	"github.com/podlane/podlane/tests/cluster"
	"github.com/podlane/podlane/tests/stream"
)

// A pod sends with addresses that are not in its node's pod subnets, and with its node's own addresses in them. The
// kernel accepts a node's own address as a source here (accept_local).
func TestPodSendsFromAddressesThatNoPodOfItsNodeHas(t *testing.T) {
	b := makeBed(t)
	b.disableReversePathFilter(t)
	for _, p := range []*lab.Place{b.nodes[0].Place, b.nodes[1].Place, b.nonPeer.Place, b.Outside} {
		cluster.Run(t, p, "sysctl -qw net/ipv4/conf/all/accept_local=1")
	}
	forged, valid := b.podSources(t)
	b.withoutFirewall(t, func() { forged.expectArrival(t) })
	forged.expectDropped(t, b.nodes[0])
	valid.expectArrival(t)
}

// podSources returns packets of a pod from every kind of source to every kind of destination.
func (b *bed) podSources(t *testing.T) (forged, valid batch) {
	t.Helper()
	n1, n2, pod := b.nodes[0], b.nodes[1], b.pods[0][0]
	sibling, err := b.AddPod(cluster.Within(t), n1, "n1c")
	cluster.Check(t, err)
	for f, a := range pod.Addrs {
		cluster.Run(t, pod.Place, fmt.Sprintf("ip route add %s via %s", sibling.Addrs[f], gateways(t, n1)[f]))
		world := [...]netip.Addr{netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("2001:db8:113::1")}[f]
		for name, to := range map[string]*receiver{
			"its node":               listen(t, n1, addrs(n1)[f]),
			"its gateway":            listen(t, n1, gateways(t, n1)[f]),
			"a pod of its bridge":    listen(t, b.pods[0][1], b.pods[0][1].Addrs[f]),
			"a pod, by the gateway":  listen(t, sibling, sibling.Addrs[f]),
			"a pod of another node":  listen(t, b.pods[1][1], b.pods[1][1].Addrs[f]),
			"another node":           listen(t, n2, addrs(n2)[f]),
			"a host of the underlay": listen(t, b.nonPeer, addrs(b.nonPeer)[f]),
			"a host outside":         listen(t, b.Outside, world),
		} {
			for as, source := range map[string]netip.Addr{
				"its gateway":                     gateways(t, n1)[f],
				"its pod subnet's first address":  cluster.OverlayAddr(t, n1, a),
				"its node":                        addrs(n1)[f],
				"a pod of another node":           b.pods[1][0].Addrs[f],
				"another node's gateway":          gateways(t, n2)[f],
				"another node":                    addrs(n2)[f],
				"an unleased address of the pods": unleased(t, family(f), n1, n2),
				"a host of the underlay":          addrs(b.nonPeer)[f],
				"a host outside":                  world,
			} {
				forged.add(fmt.Sprintf("%s as %s to %s", family(f), as, to.addr), pod, source, to)
			}
			valid.add(fmt.Sprintf("%s to %s", family(f), name), pod, a, to)
		}
	}
	return forged, valid
}

// A node has several bridges, or a veth for each pod and no bridge. Each has routes for a part of the pod subnet. A pod
// sends from an address that is routed to another bridge or veth.
func TestPodSendsFromAnAddressOfAnotherInterface(t *testing.T) {
	l := cluster.Start(t, lab.Options{Nodes: 2, IPv6: true, Config: cluster.DualStack, NodeEnv: func(int) []string {
		return []string{"PODLANE_RESYNC=1s"}
	}}, 0)
	b := &bed{Lab: l, nodes: [2]*lab.Node(l.Nodes)}
	n1, n2 := b.nodes[0], b.nodes[1]
	onCNI0, err := b.AddPod(cluster.Within(t), n1, "n1a")
	cluster.Check(t, err)
	onA, onB := addBridgedPod(t, n1, "br1", 64), addBridgedPod(t, n1, "br2", 128)
	p, q := addRoutedPod(t, n2, "veth1", 2), addRoutedPod(t, n2, "veth2", 3)
	awaitPodInterfaces(t, n1, "cni0", "br1", "br2")
	awaitPodInterfaces(t, n2, "veth1", "veth2")
	for _, n := range b.nodes {
		cluster.RunScript(t, n.Place, "for i in /proc/sys/net/ipv4/conf/*; do echo 0 >$i/rp_filter; echo 1 >$i/accept_local; done")
	}
	for f, gateway := range gateways(t, n1) { // for its pods, the whole pod subnet is on the bridge
		cluster.Run(t, onCNI0.Place, fmt.Sprintf("ip route add %s via %s", onA.addrs[f], gateway))
		cluster.Run(t, onCNI0.Place, fmt.Sprintf("ip route add %s via %s", onB.addrs[f], gateway))
	}
	cni0 := manualPod{onCNI0.Place, [2]netip.Addr(onCNI0.Addrs)}
	var forged, valid batch
	for _, c := range []struct {
		node        *lab.Node
		pod         manualPod
		others      []manualPod // on other interfaces of its node
		onOtherNode manualPod
	}{
		{n1, cni0, []manualPod{onA, onB}, p}, {n1, onA, []manualPod{onB, cni0}, p}, {n1, onB, []manualPod{onA, cni0}, p}, {n2, p, []manualPod{q}, onA}, {n2, q, []manualPod{p}, onB},
	} {
		for f, own := range c.pod.addrs {
			near, far := listen(t, c.node, addrs(c.node)[f]), listen(t, c.onOtherNode, c.onOtherNode.addrs[f])
			sources := map[string]netip.Addr{"its gateway": gateways(t, c.node)[f]}
			if c.pod != cni0 { // the route to all other addresses of the pod subnet leads to this bridge
				sources["a free address"] = atPart(t, c.node, 200, 50)[f]
			}
			for _, o := range c.others {
				sources[o.addrs[f].String()] = o.addrs[f]
				valid.add(fmt.Sprintf("%s to %s", own, o.addrs[f]), c.pod, own, listen(t, o, o.addrs[f]))
			}
			for _, to := range []*receiver{near, far} {
				valid.add(fmt.Sprintf("%s to %s", own, to.addr), c.pod, own, to)
				for name, source := range sources {
					forged.add(fmt.Sprintf("%s as %s to %s", own, name, to.addr), c.pod, source, to)
				}
			}
		}
	}
	b.withoutFirewall(t, func() { forged.expectArrival(t) })
	forged.expectDropped(t, b.nodes[:]...)
	valid.expectArrival(t)
}

// manualPod is a pod that no CNI plugin made.
type manualPod struct {
	stream.Place
	addrs [2]netip.Addr
}

// addBridgedPod adds a bridge with a pod to a node. The bridge has a part of the node's pod subnet: 64 IPv4 addresses
// from the first one on, which is given by its last byte.
func addBridgedPod(t *testing.T, n *lab.Node, bridge string, first int) manualPod {
	t.Helper()
	gateway, pod := atPart(t, n, first, 1), manualPod{sandbox.Test(t, "pod-"+bridge), atPart(t, n, first, 2)}
	cluster.RunScript(t, n.Place, fmt.Sprintf(`
ip link add %[1]s type bridge
ip address add %[2]s/26 dev %[1]s; ip address add %[3]s/80 dev %[1]s nodad
ip link add %[1]s-1 type veth peer name eth0 netns pod-%[1]s; ip link set %[1]s-1 master %[1]s
ip link set up %[1]s-1; ip link set up %[1]s
ip netns exec pod-%[1]s sh -ec '
ip address add %[4]s/26 dev eth0; ip address add %[5]s/80 dev eth0 nodad
ip link set up eth0; ip route add default via %[2]s; ip route add default via %[3]s'`,
		bridge, gateway[ipv4], gateway[ipv6], pod.addrs[ipv4], pod.addrs[ipv6]))
	return pod
}

// addRoutedPod adds a pod to a node as the CNI plugin ptp does: with a veth, the gateway's address and a route.
func addRoutedPod(t *testing.T, n *lab.Node, veth string, host int) manualPod {
	t.Helper()
	gateway, pod := gateways(t, n), manualPod{sandbox.Test(t, "pod-"+veth), atPart(t, n, 0, host)}
	cluster.RunScript(t, n.Place, fmt.Sprintf(`
ip link add %[1]s type veth peer name eth0 netns pod-%[1]s
ip address add %[2]s/32 dev %[1]s; ip address add %[3]s/128 dev %[1]s nodad; ip link set up %[1]s
ip route add %[4]s/32 dev %[1]s; ip route add %[5]s/128 dev %[1]s
ip netns exec pod-%[1]s sh -ec '
ip address add %[4]s/32 dev eth0; ip address add %[5]s/128 dev eth0 nodad; ip link set up eth0
ip route add %[2]s/32 dev eth0; ip route add %[3]s/128 dev eth0
ip route add default via %[2]s; ip route add default via %[3]s'`,
		veth, gateway[ipv4], gateway[ipv6], pod.addrs[ipv4], pod.addrs[ipv6]))
	return pod
}

// atPart returns the addresses of a host in a part of a node's pod subnet. part is the last byte of the part's first IPv4
// address.
func atPart(t *testing.T, n *lab.Node, part, host int) [2]netip.Addr {
	t.Helper()
	first4, first6 := cluster.OverlayAddr(t, n, n.Addr).As4(), cluster.OverlayAddr(t, n, n.Addr6).As16()
	first4[3], first6[9], first6[15] = byte(part+host), byte(part), byte(host)
	return [2]netip.Addr{ipv4: netip.AddrFrom4(first4), ipv6: netip.AddrFrom16(first6)}
}

// awaitPodInterfaces waits until a node's firewall has these interfaces of pods.
func awaitPodInterfaces(t *testing.T, n *lab.Node, names ...string) {
	t.Helper()
	cluster.Until(t, soon, fmt.Sprint(n.Name, "'s firewall has the pod interfaces ", names), func() (bool, string) {
		set := cluster.Run(t, n.Place, "nft list set inet podlane pod_interfaces")
		return !slices.ContainsFunc(names, func(name string) bool { return !strings.Contains(set, `"`+name+`"`) }), set
	})
}
