package firewall

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/podlane/podlane/subnet"
)

// Two machines that share two links have these addresses on loopback, as with routing daemons.
var (
	nodeLoopback = [...]string{"198.18.10.1", "2001:db8:10::1"}
	peerLoopback = [...]string{"198.18.10.2", "2001:db8:10::2"}
)

var multipath = with(func(r *Rules) {
	r.Peers = nil
	for f := range subnet.Families {
		r.Peers, r.Addrs = append(r.Peers, netip.MustParseAddr(peerLoopback[f])), append(r.Addrs, netip.MustParseAddr(nodeLoopback[f]))
	}
})

// newMultipathWires returns wires with a second link to the outside, and those addresses.
func newMultipathWires(t *testing.T) (w wires, ours [len(subnet.Families)]arrivals) {
	w = newWires(t)
	w.node.sh("ip link add eth1 type veth peer name eth1 netns outside")
	for i, n := range []*node{w.node, w.outside} {
		at := i + 1
		n.sh(fmt.Sprintf(`
ip link set lo up; ip link set eth1 up
ip addr add 198.18.1.%d/24 dev eth1; ip addr add 2001:db8:1::%[1]d/64 dev eth1 nodad
ip addr add 198.18.10.%[1]d/32 dev lo; ip addr add 2001:db8:10::%[1]d/128 dev lo
sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0 net.ipv4.conf.eth1.rp_filter=0`, at))
	}
	w.node.sh("sysctl -qw net.ipv4.conf.pod0.rp_filter=0")
	w.outside.reached("198.18.1.2", w.node)
	w.outside.reached("2001:db8:1::2", w.node)
	for f := range subnet.Families {
		ours[f] = w.node.tunnel(1, nodeLoopback[f])
		w.node.reached(nodeAt[f], w.outside)
		w.node.reached(gatewayAt[f], w.pod)
	}
	return w, ours
}

// The peer may send over any link, whichever link the kernel uses for the answer.
func TestVXLANArrivesOverEveryLinkOfAMultipathRoute(t *testing.T) {
	w, ours := newMultipathWires(t)
	chains := [2][]string{{"from_underlay", vxlanToPort}, nil} // only eth0 is the underlay
	for _, kind := range []struct{ name, routes string }{
		{"next hops", `
ip route add 198.18.10.2 nexthop via 198.18.0.2 nexthop via 198.18.1.2
ip route add 2001:db8:10::2 nexthop via 2001:db8::2 nexthop via 2001:db8:1::2`},
		{"next hop group", `
ip route del 198.18.10.2; ip route del 2001:db8:10::2
ip nexthop add id 1 via 198.18.0.2 dev eth0; ip nexthop add id 2 via 198.18.1.2 dev eth1; ip nexthop add id 3 group 1/2
ip nexthop add id 4 via 2001:db8::2 dev eth0; ip nexthop add id 5 via 2001:db8:1::2 dev eth1; ip nexthop add id 6 group 4/5
ip route add 198.18.10.2 nhid 3; ip route add 2001:db8:10::2 nhid 6`},
	} {
		w.node.sh(kind.routes)
		for f, family := range subnet.Families {
			for i, by := range [][2]string{{"198.18.0.1", "2001:db8::1"}, {"198.18.1.1", "2001:db8:1::1"}} {
				t.Run(fmt.Sprintf("%s %s eth%d", family, kind.name, i), func(t *testing.T) {
					w.in(t)
					w.outside.sh(fmt.Sprintf("ip route replace %s via %s", nodeLoopback[f], by[f]))
					send := w.outside.sends(peerLoopback[f], to8472(nodeLoopback[f]), vxlan(1))
					for _, form := range forms {
						w.node.passesBy(form.rules(w.node, multipath), send, ours[f], form.chains(chains[i]...)...)
					}
				})
			}
			t.Run(fmt.Sprintf("%s %s a pod", family, kind.name), func(t *testing.T) {
				w.in(t)
				for _, form := range forms {
					w.node.drops(form.rules(w.node, multipath), "pod_source_forged", w.pod.sends(peerLoopback[f], to8472(nodeLoopback[f]), vxlan(1)), ours[f])
				}
			})
		}
	}
}
