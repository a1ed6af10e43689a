package firewall

import (
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/subnet"
)

// Addresses of a pod behind the tunnel, and of another pod of the node.
var (
	tunnelledAt = [...]string{"10.5.99.9", "fd00:5:0:63::9"}
	siblingAt   = [...]string{"10.5.34.7", "fd00:5:0:22::7"}
)

const port4567 = "4567"

// spoofWires is overlayWires with receivers at UDP port 4567 of every address.
type spoofWires struct {
	overlayWires
	atNode, atGateway, atPeer, atFarPod, atPod [len(subnet.Families)]arrivals
}

func newSpoofWires(t *testing.T) (w spoofWires) {
	w.overlayWires = newOverlayWires(t)
	w.node.sh("ip route add 10.5.99.0/24 dev vxlan1; ip route add fd00:5:0:63::/64 dev vxlan1-v6")
	for f := range subnet.Families {
		w.atNode[f] = w.node.socket(net.JoinHostPort(nodeAt[f], port4567))
		w.atGateway[f] = w.node.socket(net.JoinHostPort(gatewayAt[f], port4567))
		w.atPeer[f] = w.outside.socket(net.JoinHostPort(peerAt[f], port4567))
		w.atFarPod[f] = w.outside.socket(net.JoinHostPort(farPodAt[f], port4567))
		w.atPod[f] = w.pod.socket(net.JoinHostPort(podAt[f], port4567))
	}
	return w
}

func TestForgedSourceIsDropped(t *testing.T) {
	w := newSpoofWires(t)
	w.inForms(t, w.forgedSourceIsDropped)
}

func (w spoofWires) forgedSourceIsDropped(t *testing.T, form tableForm) {
	for f, family := range subnet.Families {
		for _, c := range []struct {
			name     string
			rules    Rules
			from     *node
			as, to   string
			receiver arrivals
		}{
			{"pod as another node's, to its node", dual, w.pod, tunnelledAt[f], nodeAt[f], w.atNode[f]},
			{"pod as another node's, forwarded", dual, w.pod, tunnelledAt[f], peerAt[f], w.atPeer[f]},
			{"pod as another node's, no interface known", podsUnknown, w.pod, tunnelledAt[f], farPodAt[f], w.atFarPod[f]},
			{"pod as a host of the underlay, to its node", dual, w.pod, strangerAt[f], nodeAt[f], w.atNode[f]},
			{"pod as a host of the underlay, forwarded", dual, w.pod, strangerAt[f], peerAt[f], w.atPeer[f]},
			{"host of the underlay as another node's pod", dual, w.outside, tunnelledAt[f], podAt[f], w.atPod[f]},
			{"host of the underlay as another node's pod, to the pods' gateway", dual, w.outside, tunnelledAt[f], gatewayAt[f], w.atGateway[f]},
			{"host of the underlay as this node's pod", dual, w.outside, siblingAt[f], podAt[f], w.atPod[f]},
			{"host of the underlay as this node's pod, to this node", dual, w.outside, siblingAt[f], nodeAt[f], w.atNode[f]},
			{"host of the underlay as this node's pod, direct routing", directRouting, w.outside, siblingAt[f], nodeAt[f], w.atNode[f]},
			{"pod with an address outside the pod network, to its gateway", dual, w.pod, nowhereAt[f], gatewayAt[f], w.atGateway[f]},
		} {
			t.Run(family.String()+" "+c.name, func(t *testing.T) {
				w.in(t)
				send := c.from.sends(c.as, net.JoinHostPort(c.to, port4567), []byte("hello"))
				w.node.cleanup()
				passes(t, send, c.receiver)
				w.node.drops(form.rules(w.node, c.rules), "pod_source_forged", send, c.receiver)
			})
		}
	}
}

// The node's own addresses in the pod subnet are no pod's. For IPv4 the kernel itself drops them, unless accept_local is set.
func TestPodSendsAsItsGateway(t *testing.T) {
	w := newSpoofWires(t)
	w.node.sh(`sysctl -qw net.ipv4.conf.all.accept_local=1 net.ipv4.conf.pod0.accept_local=1
ip addr add 10.5.34.99/24 dev pod0; ip addr add fd00:5:0:22::99/64 dev pod0 nodad; ip addr add 10.5.34.0/32 dev vxlan1; ip addr add fd00:5:0:22::/128 dev vxlan1-v6 nodad`)
	w.inForms(t, func(t *testing.T, form tableForm) {
		for f, family := range subnet.Families {
			for _, own := range [][2]string{{"10.5.34.1", "fd00:5:0:22::1"}, {"10.5.34.99", "fd00:5:0:22::99"}, {"10.5.34.0", "fd00:5:0:22::"}} {
				t.Run(family.String()+" "+own[f], func(t *testing.T) {
					w.in(t)
					send := w.pod.sends(own[f], port(peerAt[f]), []byte("hello"))
					w.node.cleanup()
					passes(t, send, w.atPeer[f])
					w.node.drops(form.rules(w.node, dual), "pod_source_forged", send, w.atPeer[f])
				})
			}
		}
	})
}

var directRouting = with(func(r *Rules) { r.Network.VXLAN.DirectRouting = true })

func TestValidSourceArrives(t *testing.T) {
	w := newSpoofWires(t)
	w.inForms(t, w.validSourceArrives)
}

func (w spoofWires) validSourceArrives(t *testing.T, form tableForm) {
	for f, family := range subnet.Families {
		for _, c := range []struct {
			name     string
			rules    Rules
			from     *node
			as, to   string
			receiver arrivals
			by       string // the chain whose early rule accepts the packets, if any
		}{
			{"pod to its node", dual, w.pod, podAt[f], nodeAt[f], w.atNode[f], "from_pods"},
			{"pod to outside", dual, w.pod, podAt[f], peerAt[f], w.atPeer[f], "from_pods"},
			{"pod with a second address of the pod subnet", dual, w.pod, siblingAt[f], peerAt[f], w.atPeer[f], "from_pods"},
			{"pod, no interface known", podsUnknown, w.pod, podAt[f], peerAt[f], w.atPeer[f], ""},
			{"node to itself", dual, w.node, gatewayAt[f], nodeAt[f], w.atNode[f], ""},
			{"pod of another node over the underlay, with a route there", dual, w.outside, farPodAt[f], podAt[f], w.atPod[f], ""},
			{"pod of another node over the underlay, direct routing", directRouting, w.outside, tunnelledAt[f], podAt[f], w.atPod[f], ""},
			{"pod of another node over the underlay, to the node's address there", dual, w.outside, tunnelledAt[f], nodeAt[f], w.atNode[f], ""},
			{"outside to pod", dual, w.outside, peerAt[f], podAt[f], w.atPod[f], ""},
		} {
			t.Run(family.String()+" "+c.name, func(t *testing.T) {
				w.in(t)
				send := c.from.sends(c.as, net.JoinHostPort(c.to, port4567), []byte("hello"))
				w.node.passesBy(form.rules(w.node, c.rules), send, c.receiver, form.chains(c.by)...)
			})
		}
	}
}

// Pods send these packets before they have an address, or with another source.
func TestPodsUseNeighbourDiscoveryAndDHCP(t *testing.T) {
	for _, form := range forms {
		t.Run(form.name, form.podsUseNeighbourDiscoveryAndDHCP)
	}
}

func (form tableForm) podsUseNeighbourDiscoveryAndDHCP(t *testing.T) {
	w := newWires(t)
	w.node.apply(form.rules(w.node, dual))
	w.pod.sh("ip neigh flush all; ping -c1 -W5 ff02::1%eth0; ping -c1 -W5 -I eth0 fd00:5:0:22::1")
	w.pod.sh(`sysctl -qw net.ipv6.conf.all.accept_dad=1 net.ipv6.conf.eth0.accept_dad=1
ip addr add fd00:5:0:22::1/64 dev eth0; ip addr add fd00:5:0:22::8/64 dev eth0`) // the first is its node's
	within(t, "duplicate address detection does not find the node's address", func() bool {
		return strings.Contains(w.pod.sh("ip -6 addr show dev eth0 dadfailed"), "fd00:5:0:22::1/64")
	})

	w.node.sh("ip -6 route del fe80::/64 dev pod0") // there is no route to link-local addresses
	atNode := w.node.socket("[fd00:5:0:22::1]:4567")
	send := w.pod.sends(fmt.Sprintf("%s%%%d", w.pod.linkLocal("eth0"), w.pod.index("eth0")), "[fd00:5:0:22::1]:4567", []byte("hello"))
	passes(t, send, atNode)

	dhcp := w.node.socket("0.0.0.0:67")
	socket, err := here(w.pod.ns, func() (int, error) {
		return unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(socket) }()
	to := &unix.SockaddrLinklayer{Protocol: 0x0008, Ifindex: w.pod.index("eth0"), Halen: 6, Addr: [8]byte{255, 255, 255, 255, 255, 255}}
	passes(t, func(count int) {
		for range count {
			if err := unix.Sendto(socket, discover(), 0, to); err != nil {
				t.Fatal(err)
			}
		}
	}, dhcp)
}

// discover returns an IPv4 packet like the first one of DHCP (RFC 2131 section 4.1).
func discover() []byte {
	b := []byte{0x45, 0, 0, 33, 0, 0, 0, 0, 64, unix.IPPROTO_UDP, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255}
	binary.BigEndian.PutUint16(b[10:], checksum(b))
	return append(b, 0, 68, 0, 67, 0, 13, 0, 0, 'h', 'e', 'l', 'l', 'o') // no checksum
}

// A Service may lead a pod to itself.
func TestPodReachesItselfThroughAService(t *testing.T) {
	w := newWires(t)
	w.node.sh(`nft -f - <<X
table inet services {
	chain in { type nat hook prerouting priority dstnat; ip daddr 10.96.0.1 dnat ip to 10.5.34.2; ip6 daddr fd00:96::1 dnat ip6 to fd00:5:0:22::2; }
	chain out { type nat hook postrouting priority srcnat - 10; ip saddr 10.5.34.2 ip daddr 10.5.34.2 masquerade; ip6 saddr fd00:5:0:22::2 ip6 daddr fd00:5:0:22::2 masquerade; }
}
X`)
	w.inForms(t, func(t *testing.T, form tableForm) {
		w.node.apply(form.rules(w.node, dual))
		for f, service := range []string{"10.96.0.1", "fd00:96::1"} {
			from, at := w.pod.listen(net.JoinHostPort(podAt[f], "0")), w.pod.listen(net.JoinHostPort(podAt[f], port4567))
			got, err := seen(from, at, net.JoinHostPort(service, port4567))
			if err != nil || got != gatewayAt[f] {
				t.Errorf("the pod sees %s, %v", got, err)
			}
		}
	})
}

// The kernel loops the node's own multicast back to receivers on the node.
func TestNodeReceivesItsOwnMulticast(t *testing.T) {
	w := newWires(t)
	w.inForms(t, func(t *testing.T, form tableForm) {
		w.node.apply(form.rules(w.node, dual))
		from := w.node.listen("10.5.34.1:0")
		if err := w.node.sendsGroupsTo("eth0", from); err != nil {
			t.Fatal(err)
		}
		got, err := seen(from, w.node.group("239.1.2.3:4567"), "239.1.2.3:4567")
		if err != nil || got != "10.5.34.1" {
			t.Errorf("the group sees %s, %v", got, err)
		}
	})
}

// With br_netfilter, podlane's chains see the packets between pods of one bridge.
func TestPodsOnABridgeThatFiltersIP(t *testing.T) {
	w := newWires(t)
	w.node.sh(`
ip addr flush dev pod0 scope global; ip link add cni0 type bridge; ip link set pod0 master cni0
ip link add pod1 type veth peer name eth1 netns outside; ip link set pod1 master cni0; ip link set pod1 up
ip addr add 10.5.34.1/24 dev cni0; ip addr add fd00:5:0:22::1/64 dev cni0 nodad; ip link set cni0 up
sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1`)
	w.outside.sh(`
ip route flush 10.5.34.0/24; ip -6 route flush fd00:5:0:22::/64
ip link set eth1 up; ip addr add 10.5.34.7/24 dev eth1; ip addr add fd00:5:0:22::7/64 dev eth1 nodad`)
	bridged := with(func(r *Rules) { r.PodInterfaces = []string{"cni0"} })
	w.inForms(t, func(t *testing.T, form tableForm) {
		rules := form.rules(w.node, bridged)
		w.node.apply(rules)
		for f, family := range subnet.Families {
			t.Run(family.String(), func(t *testing.T) {
				w.in(t)
				at := w.outside.socket(net.JoinHostPort(siblingAt[f], port4567))
				w.node.reached(gatewayAt[f], w.pod)
				w.outside.reached(siblingAt[f], w.pod)
				w.node.passesBy(rules, w.pod.sends(podAt[f], net.JoinHostPort(siblingAt[f], port4567), []byte("hello")), at, form.chains("from_pods")...)
				w.node.drops(rules, "pod_source_forged", w.pod.sends(farPodAt[f], net.JoinHostPort(siblingAt[f], port4567), []byte("hello")), at)
			})
		}
	})
}

func TestInvalidInterfaceNamesAreRefused(t *testing.T) {
	for _, name := range []string{"", "sixteen-letters-"} {
		if err := with(func(r *Rules) { r.PodInterfaces = []string{name} }).check(); err == nil {
			t.Errorf("%q: no error", name)
		}
	}
}
