package firewall

import (
	"net"
	"net/netip"
	"testing"

	"github.com/podlane/podlane/subnet"
)

// Sources behind the tunnel, and the early chains for them.
var (
	unleasedAt  = [...]string{"10.5.200.9", "fd00:5:0:c8::9"} // in the pod network, but in no lease
	fromTunnels = [...]string{"from_tunnel4", "from_tunnel6"}
)

// newTunnelWires returns spoofWires. The kernel itself does not check the reverse path of packets out of the tunnel there.
func newTunnelWires(t *testing.T) spoofWires {
	w := newSpoofWires(t)
	w.node.sh("sysctl -qw net.ipv4.conf.vxlan1.rp_filter=0")
	return w
}

// port returns an address with the port of the receivers in spoofWires.
func port(addr string) string { return net.JoinHostPort(addr, port4567) }

func TestPacketsFromTheTunnelArrive(t *testing.T) {
	w := newTunnelWires(t)
	w.inForms(t, func(t *testing.T, form tableForm) {
		for f, family := range subnet.Families {
			for _, c := range []struct {
				name     string
				from, to string
				receiver arrivals
				by       []string
			}{
				{"a peer's pod to a pod", tunnelledAt[f], port(podAt[f]), w.atPod[f], []string{fromTunnels[f], "from_underlay", vxlanToPort}},
				{"a peer's pod to the pods' gateway", tunnelledAt[f], port(gatewayAt[f]), w.atGateway[f], []string{fromTunnels[f], "from_underlay", vxlanToPort}},
				{"a host outside the pod network", nowhereAt[f], port(podAt[f]), w.atPod[f], []string{"from_underlay", vxlanToPort}},
				{"no lease, to the node's address on the underlay", unleasedAt[f], port(nodeAt[f]), w.atNode[f], []string{"from_underlay", vxlanToPort}},
			} {
				t.Run(family.String()+" "+c.name, func(t *testing.T) {
					w.in(t)
					w.node.passesBy(form.rules(w.node, dual), w.fromTunnel(f, c.from, c.to), c.receiver, form.chains(c.by...)...)
				})
			}
		}
	})
}

func TestForgedPacketsFromTheTunnelAreDropped(t *testing.T) {
	w := newTunnelWires(t)
	// The lease of another node overlaps this node's, and a peer has a subnet of another length.
	overlapping := with(func(r *Rules) {
		r.PeerSubnets = []netip.Prefix{
			netip.MustParsePrefix("10.5.34.0/24"), netip.MustParsePrefix("10.5.200.0/25"),
			netip.MustParsePrefix("fd00:5:0:22::/64"), netip.MustParsePrefix("fd00:5:0:c8::/65"),
		}
	})
	w.inForms(t, func(t *testing.T, form tableForm) {
		for f, family := range subnet.Families {
			for _, c := range []struct {
				name     string
				rules    Rules
				from, to string
				receiver arrivals
			}{
				{"as this node's pod", dual, siblingAt[f], port(podAt[f]), w.atPod[f]},
				{"as this node's pod, to the node", dual, siblingAt[f], port(nodeAt[f]), w.atNode[f]},
				{"as this node's pod, direct routing", directRouting, siblingAt[f], port(podAt[f]), w.atPod[f]},
				{"as this node's pod, its subnet is a peer's too", overlapping, siblingAt[f], port(podAt[f]), w.atPod[f]},
				{"no lease, to a pod", dual, unleasedAt[f], port(podAt[f]), w.atPod[f]},
				{"a lease of another length, without a route", overlapping, unleasedAt[f], port(podAt[f]), w.atPod[f]},
			} {
				t.Run(family.String()+" "+c.name, func(t *testing.T) {
					w.in(t)
					send := w.fromTunnel(f, c.from, c.to)
					w.node.cleanup()
					passes(t, send, c.receiver)
					w.node.drops(form.rules(w.node, c.rules), "pod_source_forged", send, c.receiver)
				})
			}
		}
	})
}

// The early rules rely on the leases. If the route to a peer's pods is missing, packets from there still arrive. The general rules
// drop them.
func TestPeersPodWithoutARoute(t *testing.T) {
	w := newTunnelWires(t)
	w.node.sh("ip route del 10.5.99.0/24; ip route del fd00:5:0:63::/64")
	for f, family := range subnet.Families {
		t.Run(family.String(), func(t *testing.T) {
			w.in(t)
			w.node.cleanup()
			send := w.fromTunnel(f, tunnelledAt[f], port(podAt[f]))
			passes(t, send, w.atPod[f])
			w.node.drops(dual, "pod_source_forged", send, w.atPod[f])
			rules := early.rules(w.node, dual)
			w.node.passesBy(rules, send, w.atPod[f], fromTunnels[f], "from_underlay", vxlanToPort)
			rules.PeerSubnets = nil // its lease is gone
			w.node.drops(rules, "pod_source_forged", send, w.atPod[f])
		})
	}
}

// VXLAN inside the tunnel does not come from a peer.
func TestVXLANFromTheTunnelIsDropped(t *testing.T) {
	w := newTunnelWires(t)
	w.inForms(t, func(t *testing.T, form tableForm) {
		for f, family := range subnet.Families {
			t.Run(family.String(), func(t *testing.T) {
				w.in(t)
				send := w.fromTunnelWith(f, tunnelledAt[f], to8472(nodeAt[f]), vxlan(2))
				w.node.cleanup()
				passes(t, send, w.others[f])
				w.node.drops(form.rules(w.node, with(func(r *Rules) { r.Network.VXLAN.VNI = 2 })), "vxlan_not_from_a_peer", send, w.others[f])
			})
		}
	})
}

// Another node's pod answers a flow that a peer's VXLAN port opened through this node. The answer must not reach the peer as VXLAN.
func TestVXLANFromTheTunnelToAPeerIsDropped(t *testing.T) {
	w := newTunnelWires(t)
	w.inForms(t, func(t *testing.T, form tableForm) {
		for f, family := range subnet.Families {
			t.Run(family.String(), func(t *testing.T) {
				w.in(t)
				send := w.fromTunnelWith(f, tunnelledAt[f], to8472(peerAt[f]), vxlan(1))
				w.node.cleanup()
				passes(t, send, w.peers[f])
				w.node.drops(form.rules(w.node, dual), "vxlan_from_a_pod", send, w.peers[f])
				another := w.fromTunnelWith(f, tunnelledAt[f], to8472(peerAt[f]), vxlan(2))
				passes(t, another, w.outside.tunnel(2, peerAt[f]))
				w.outside.sh("ip link del " + [...]string{"vxlan2", "vxlan2-v6"}[f])
			})
		}
	})
}
