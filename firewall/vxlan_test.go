package firewall

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/subnet"
)

// The addresses in wires, by family. No host has the stranger's address.
var (
	nodeAt     = [...]string{"198.18.0.1", "2001:db8::1"}
	peerAt     = [...]string{"198.18.0.2", "2001:db8::2"}
	strangerAt = [...]string{"198.18.0.9", "2001:db8::9"}
	podAt      = [...]string{"10.5.34.2", "fd00:5:0:22::2"}
	gatewayAt  = [...]string{"10.5.34.1", "fd00:5:0:22::1"}
	farPodAt   = [...]string{"10.5.77.2", "fd00:5:0:4d::2"}
	nowhereAt  = [...]string{"203.0.113.7", "2001:db8:7::7"} // the node has no route to it
)

// overlayWires is wires with tunnels. The node has podlane's VNI and another. The outside is its only peer.
type overlayWires struct {
	wires
	ours, others, peers [len(subnet.Families)]arrivals
}

func newOverlayWires(t *testing.T) overlayWires {
	w := overlayWires{wires: newWires(t)}
	w.node.sh("sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0 net.ipv4.conf.pod0.rp_filter=0")
	for f := range subnet.Families {
		w.ours[f], w.others[f], w.peers[f] = w.node.tunnel(1, nodeAt[f]), w.node.tunnel(2, nodeAt[f]), w.outside.tunnel(1, peerAt[f])
		w.node.reached(nodeAt[f], w.outside)
		w.node.reached(gatewayAt[f], w.pod)
	}
	return w
}

// reached waits until a node has an address, and resolves neighbours from another node: no later packet waits for that. The kernel
// adds an IPv6 address a moment after the command has ended. A packet that comes before would be forwarded to nowhere.
func (n *node) reached(addr string, from *node, options ...string) {
	n.Helper()
	within(n.T, addr+" is not an address of "+n.ns.Name, func() bool { return strings.HasPrefix(n.sh("ip route get "+addr), "local ") })
	from.sh("ping -c1 -W5 " + strings.Join(append(options, addr), " "))
}

// in makes an error of the nodes fail this test.
func (w wires) in(t *testing.T) { w.pod.T, w.node.T, w.outside.T = t, t, t }

func to8472(addr string) string { return net.JoinHostPort(addr, "8472") }

// with returns dual after a change.
func with(change func(r *Rules)) Rules {
	r := dual
	change(&r)
	return r
}

var (
	podsUnknown  = with(func(r *Rules) { r.PodInterfaces = nil })
	peersUnknown = with(func(r *Rules) { r.Peers = nil })
	noPeers      = with(func(r *Rules) { r.Peers = []netip.Addr{} })
	// nowhereIsPeer has peers without a route: their packets fail only the reverse-path check.
	nowhereIsPeer = with(func(r *Rules) {
		for _, a := range nowhereAt {
			r.Peers = append(slices.Clone(r.Peers), netip.MustParseAddr(a))
		}
	})
)

func TestForgedVXLANIsDropped(t *testing.T) {
	w := newOverlayWires(t)
	w.inForms(t, w.forgedVXLANIsDropped)
}

func (w overlayWires) forgedVXLANIsDropped(t *testing.T, form tableForm) {
	for f, family := range subnet.Families {
		for _, c := range []struct {
			name     string
			rules    Rules
			reason   string
			from     *node
			as, to   string // addresses
			receiver arrivals
		}{
			{"from a stranger", dual, "vxlan_not_from_a_peer", w.outside, strangerAt[f], nodeAt[f], w.ours[f]},
			{"from a stranger to the gateway of the pods", dual, "vxlan_not_from_a_peer", w.outside, strangerAt[f], gatewayAt[f], w.ours[f]},
			{"from a former peer, and none is left", noPeers, "vxlan_not_from_a_peer", w.outside, peerAt[f], nodeAt[f], w.ours[f]},
			{"from a pod", dual, "vxlan_from_a_pod", w.pod, podAt[f], nodeAt[f], w.ours[f]},
			{"from a pod to its gateway", dual, "vxlan_from_a_pod", w.pod, podAt[f], gatewayAt[f], w.ours[f]},
			{"from a pod to another node", dual, "vxlan_from_a_pod", w.pod, podAt[f], peerAt[f], w.peers[f]},
			{"from a pod, no interface known", podsUnknown, "vxlan_from_a_pod", w.pod, podAt[f], nodeAt[f], w.ours[f]},
			{"from a pod to another node, no interface known", podsUnknown, "vxlan_from_a_pod", w.pod, podAt[f], peerAt[f], w.peers[f]},
			{"from a pod, peers not known", peersUnknown, "vxlan_from_a_pod", w.pod, podAt[f], nodeAt[f], w.ours[f]},
			{"from a pod as a peer", dual, "pod_source_forged", w.pod, peerAt[f], nodeAt[f], w.ours[f]},
			{"from a peer to the gateway of the pods", dual, "vxlan_not_from_a_peer", w.outside, peerAt[f], gatewayAt[f], w.ours[f]},
		} {
			t.Run(family.String()+" "+c.name, func(t *testing.T) {
				w.in(t)
				send := c.from.sends(c.as, to8472(c.to), vxlan(1))
				w.node.cleanup()
				passes(t, send, c.receiver)
				w.node.drops(form.rules(w.node, c.rules), c.reason, send, c.receiver)
			})
		}
	}
}

// Without early rules, a peer needs a route that leads back over the link of its packets. On the underlay, an early rule accepts
// every peer.
func TestPeerWithoutARoute(t *testing.T) {
	w := newOverlayWires(t)
	for f, family := range subnet.Families {
		t.Run(family.String(), func(t *testing.T) {
			w.in(t)
			w.node.cleanup()
			send := w.outside.sends(nowhereAt[f], to8472(nodeAt[f]), vxlan(1))
			passes(t, send, w.ours[f])
			w.node.drops(nowhereIsPeer, "vxlan_from_a_wrong_interface", send, w.ours[f])
			w.node.passesBy(early.rules(w.node, nowhereIsPeer), send, w.ours[f], "from_underlay", vxlanToPort)
		})
	}
}

// If the pods' interfaces are unknown, IPv4's strict reverse-path check still drops a pod's packets.
func TestPodSendsVXLANAsAPeer(t *testing.T) {
	w := newOverlayWires(t)
	f := subnet.IPv4
	send := w.pod.sends(peerAt[f], to8472(nodeAt[f]), vxlan(1))
	passes(t, send, w.ours[f])
	w.inForms(t, func(_ *testing.T, form tableForm) {
		w.node.drops(form.rules(w.node, podsUnknown), "vxlan_from_a_wrong_interface", send, w.ours[f])
	})
}

// A pod's link-local address is in no pod subnet. It is dropped for its interface.
func TestVXLANFromAPodsLinkLocalAddress(t *testing.T) {
	w := newOverlayWires(t)
	zone := fmt.Sprintf("%%%d", w.pod.index("eth0"))
	send := w.pod.sends(w.pod.linkLocal("eth0")+zone, to8472(w.node.linkLocal("pod0")+zone), vxlan(1))
	passes(t, send, w.ours[subnet.IPv6])
	w.inForms(t, func(_ *testing.T, form tableForm) {
		w.node.drops(form.rules(w.node, peersUnknown), "vxlan_from_a_pod", send, w.ours[subnet.IPv6])
	})
}

func TestValidVXLANArrives(t *testing.T) {
	w := newOverlayWires(t)
	w.inForms(t, w.validVXLANArrives)
}

func (w overlayWires) validVXLANArrives(t *testing.T, form tableForm) {
	for f, family := range subnet.Families {
		w.in(t)
		port := w.node.socket(net.JoinHostPort(nodeAt[f], "4567"))
		for _, c := range []struct {
			name     string
			rules    Rules
			as, to   string
			vni      byte
			receiver arrivals
			by       []string // the chains whose early rules accept the packets
		}{
			{"from a peer", dual, peerAt[f], to8472(nodeAt[f]), 1, w.ours[f], []string{"from_underlay", vxlanToPort}},
			{"from a peer, another VNI", dual, peerAt[f], to8472(nodeAt[f]), 2, w.others[f], []string{vxlanToPort}},
			{"another VNI", dual, strangerAt[f], to8472(nodeAt[f]), 2, w.others[f], nil},
			{"another port", dual, strangerAt[f], net.JoinHostPort(nodeAt[f], "4567"), 1, port, nil},
			{"peers not known", peersUnknown, strangerAt[f], to8472(nodeAt[f]), 1, w.ours[f], nil},
		} {
			t.Run(family.String()+" "+c.name, func(t *testing.T) {
				w.in(t)
				w.node.passesBy(form.rules(w.node, c.rules), w.outside.sends(c.as, c.to, vxlan(c.vni)), c.receiver, form.chains(c.by...)...)
			})
		}
		t.Run(family.String()+" forwarded to a machine behind the node", func(t *testing.T) {
			w.in(t)
			w.node.apply(form.rules(w.node, dual))
			passes(t, w.outside.sends(nowhereAt[f], to8472(podAt[f]), vxlan(1)), w.pod.socket(to8472(podAt[f])))
		})
		t.Run(family.String()+" another VNI from a pod", func(t *testing.T) {
			w.in(t)
			w.node.passesBy(form.rules(w.node, dual), w.pod.sends(podAt[f], to8472(nodeAt[f]), vxlan(2)), w.others[f], form.chains("from_pods")...)
		})
	}
}

func TestNewPeerIsAcceptedAtOnce(t *testing.T) {
	w := newOverlayWires(t)
	w.inForms(t, w.newPeerIsAcceptedAtOnce)
}

func (w overlayWires) newPeerIsAcceptedAtOnce(t *testing.T, form tableForm) {
	rules := form.rules(w.node, dual)
	for f, family := range subnet.Families {
		t.Run(family.String(), func(t *testing.T) {
			w.in(t)
			w.node.apply(rules)
			send := w.outside.sends(strangerAt[f], to8472(nodeAt[f]), vxlan(1))
			passes(t, w.outside.sends(peerAt[f], to8472(nodeAt[f]), vxlan(1)), w.ours[f])
			w.node.drops(rules, "vxlan_not_from_a_peer", send, w.ours[f])
			more := rules
			more.Peers = append(slices.Clone(rules.Peers), netip.MustParseAddr(strangerAt[f]))
			element := fmt.Sprintf("element inet podlane peers%d %s", []int{4, 6}[f], strangerAt[f])
			equal(t, "ops", words(w.node.apply(more)), "add "+element)
			passes(t, send, w.ours[f])
			equal(t, "ops", words(w.node.apply(rules)), "delete "+element)
			w.node.drops(rules, "vxlan_not_from_a_peer", send, w.ours[f])
		})
	}
}

// A Service may lead from another port to the VXLAN port.
func TestServiceDoesNotBypassTheGuard(t *testing.T) {
	w := newOverlayWires(t)
	w.node.sh(`nft add table inet services; nft add chain inet services c '{ type nat hook prerouting priority dstnat; }'
nft add rule inet services c udp dport 9999 redirect to :8472`)
	w.inForms(t, w.serviceDoesNotBypassTheGuard)
}

func (w overlayWires) serviceDoesNotBypassTheGuard(t *testing.T, form tableForm) {
	for f, family := range subnet.Families {
		for _, c := range []struct {
			from       *node
			as, reason string
		}{
			{w.outside, strangerAt[f], "vxlan_not_from_a_peer"}, {w.pod, podAt[f], "vxlan_from_a_pod"},
		} {
			t.Run(family.String()+" "+c.reason, func(t *testing.T) {
				w.in(t)
				send := c.from.sends(c.as, net.JoinHostPort(nodeAt[f], "9999"), vxlan(1))
				w.node.cleanup()
				passes(t, send, w.ours[f])
				w.node.drops(form.rules(w.node, dual), c.reason, send, w.ours[f])
			})
		}
	}
}

// A first fragment may end before the VNI. The kernel always reassembles IPv4 before input, but not IPv6.
func TestFragmentsOfForgedVXLANAreDropped(t *testing.T) {
	w := newOverlayWires(t)
	rules := with(func(r *Rules) { r.Masquerade = false }) // masquerading makes the kernel reassemble too
	from, to := netip.MustParseAddr(strangerAt[subnet.IPv6]), netip.MustParseAddr(nodeAt[subnet.IPv6])
	socket, err := here(w.outside.ns, func() (int, error) {
		return unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(socket) }()
	id := uint32(0)
	send := func(count int) {
		for range count {
			id++
			for _, packet := range inFragments(udpPacket(from, to, 8472, vxlan(1)), from, to, id) {
				if err := unix.Sendto(socket, packet, 0, &unix.SockaddrInet6{Addr: to.As16()}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	passes(t, send, w.ours[subnet.IPv6])
	w.inForms(t, func(_ *testing.T, form tableForm) {
		w.node.drops(form.rules(w.node, rules), "vxlan_not_from_a_peer", send, w.ours[subnet.IPv6])
	})
}

// udpPacket returns a UDP header and its payload, with the checksum for IPv6 (RFC 8200 section 8.1).
func udpPacket(from, to netip.Addr, port uint16, payload []byte) []byte {
	length := uint16(8 + len(payload))
	b := binary.BigEndian.AppendUint16(nil, 4242)
	for _, field := range []uint16{port, length, 0} {
		b = binary.BigEndian.AppendUint16(b, field)
	}
	b = append(b, payload...)
	pseudo := append(append(from.AsSlice(), to.AsSlice()...), 0, 0, byte(length>>8), byte(length), 0, 0, 0, unix.IPPROTO_UDP)
	binary.BigEndian.PutUint16(b[6:], checksum(append(pseudo, b...)))
	return b
}

// checksum returns the Internet checksum (RFC 1071).
func checksum(b []byte) uint16 {
	sum := uint32(0)
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	for _, last := range b {
		sum += uint32(last) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// inFragments splits a UDP packet into two IPv6 fragments (RFC 8200 section 4.5). The first has only the UDP header.
func inFragments(packet []byte, from, to netip.Addr, id uint32) (fragments [][]byte) {
	for i, part := range [][]byte{packet[:8], packet[8:]} {
		b := []byte{0x60, 0, 0, 0, 0, byte(8 + len(part)), unix.IPPROTO_FRAGMENT, 64}
		b = append(append(b, from.AsSlice()...), to.AsSlice()...)
		b = append(b, unix.IPPROTO_UDP, 0, 0, []byte{1, 8}[i]) // more follow; from byte 8 on
		b = binary.BigEndian.AppendUint32(b, id)
		fragments = append(fragments, append(b, part...))
	}
	return fragments
}

func TestOrderOfPeersDoesNotMatter(t *testing.T) {
	n := newNode(t, "node")
	n.apply(dual)
	r := with(func(r *Rules) { r.Peers = slices.Clone(r.Peers); slices.Reverse(r.Peers) })
	for name, c := range map[string]struct {
		a, b  Rules
		equal bool
	}{
		"another order":           {r, dual, true},
		"peers and no peers":      {r, noPeers, false},
		"no peers, peers unknown": {noPeers, peersUnknown, false},
	} {
		if got := c.a.Equal(c.b); got != c.equal {
			t.Errorf("%s: got %v, want %v", name, got, c.equal)
		}
	}
	n.quiet(r)
	equal(t, "ops without peers", words(n.apply(noPeers)), "delete element inet podlane peers4 198.18.0.2\ndelete element inet podlane peers6 2001:db8::2")
}
