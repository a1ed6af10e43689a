package firewall

import (
	"fmt"
	"testing"

	"github.com/podlane/podlane/subnet"
)

// bridgedPods has the pods behind cni0.
var bridgedPods = with(func(r *Rules) { r.PodInterfaces = []string{"cni0"} })

// Scripts that create an interface. All run on the node, except makeUnderlayOutside: it sets up the other end of the underlay.
const (
	makeBridge = `ip link add cni0 type bridge; ip link set pod0 master cni0; ip link set cni0 up
ip addr add 10.5.34.1/24 dev cni0; ip addr add fd00:5:0:22::1/64 dev cni0 nodad; sysctl -qw net.ipv4.conf.cni0.rp_filter=0`
	makeTunnels = `ip link add vxlan1 type vxlan id 1 dstport 8472 local 198.18.0.1 nolearning; ip link set vxlan1 up
ip link add vxlan1-v6 type vxlan id 1 dstport 8472 local 2001:db8::1 nolearning; ip link set vxlan1-v6 up
` + tunnelRoutes
	tunnelRoutes = `ip route add 10.5.99.0/24 dev vxlan1; ip route add fd00:5:0:63::/64 dev vxlan1-v6; sysctl -qw net.ipv4.conf.vxlan1.rp_filter=0`
	makeUnderlay = `ip link add eth0 type veth peer name eth0 netns outside; ip link set eth0 up
ip addr add 198.18.0.1/24 brd + dev eth0; ip addr add 2001:db8::1/64 dev eth0 nodad; sysctl -qw net.ipv4.conf.eth0.rp_filter=0`
	makeUnderlayOutside = `ip link set eth0 up; ip addr add 198.18.0.2/24 brd + dev eth0; ip addr add 2001:db8::2/64 dev eth0 nodad`
)

// newBridgeWires returns spoofWires whose pod is behind the bridge cni0.
func newBridgeWires(t *testing.T) (w spoofWires) {
	w.overlayWires = newOverlayWires(t)
	w.node.sh("ip addr flush dev pod0 scope global; ip -6 addr flush dev pod0 scope global\n" + makeBridge + "\n" + tunnelRoutes)
	for f := range subnet.Families {
		w.atNode[f], w.atPod[f] = w.node.socket(port(nodeAt[f])), w.pod.socket(port(podAt[f]))
	}
	w.resolve()
	return w
}

// resolve resolves the neighbours on the links of the pods and of the underlay. So no later packet waits for that.
func (w spoofWires) resolve() {
	for f := range subnet.Families {
		w.node.reached(gatewayAt[f], w.pod)
		w.pod.reached(podAt[f], w.node)
		w.node.reached(nodeAt[f], w.outside)
	}
}

// dropsNow is drops without Apply: it reads the counts from the kernel.
func (n *node) dropsNow(reason string, send sender, at arrivals) {
	n.Helper()
	count := func() uint64 {
		have, err := here(n.ns, func() (snapshot, error) { return read(knownSets{}) })
		if err != nil {
			n.Fatal(err)
		}
		return countDrops(have.own)[reason]
	}
	was, before := count(), at()
	if before == 0 {
		n.Fatal("nothing has arrived before: the packets may be lost for another reason")
	}
	send(few)
	within(n.T, fmt.Sprintf("it is not counted as %s", reason), func() bool { return count() >= was+few })
	if got := at() - before; got != 0 {
		n.Errorf("%d packets arrived", got)
	}
}

// traffic is what a test sends through an interface: valid packets, and forged ones to the same receiver.
type traffic struct {
	send     sender
	forged   map[string]sender // by the reason for which they are dropped
	receiver arrivals
	by       []string // the chains whose early rules accept the valid packets
}

func (w spoofWires) throughBridge(f int) traffic {
	return traffic{w.pod.sends(podAt[f], port(nodeAt[f]), []byte("hello")), map[string]sender{
		"pod_source_forged": w.pod.sends(tunnelledAt[f], port(nodeAt[f]), []byte("hello")),
		"vxlan_from_a_pod":  w.pod.sends(podAt[f], to8472(nodeAt[f]), vxlan(1)),
	}, w.atNode[f], []string{"from_pods"}}
}

func (w spoofWires) throughTunnel(f int) traffic {
	return traffic{w.fromTunnel(f, tunnelledAt[f], port(podAt[f])), map[string]sender{
		"pod_source_forged": w.fromTunnel(f, unleasedAt[f], port(podAt[f])),
	}, w.atPod[f], []string{fromTunnels[f], "from_underlay", vxlanToPort}}
}

func (w spoofWires) throughUnderlay(f int) traffic {
	return traffic{w.outside.sends(peerAt[f], to8472(nodeAt[f]), vxlan(1)), map[string]sender{
		"vxlan_not_from_a_peer": w.outside.sends(strangerAt[f], to8472(nodeAt[f]), vxlan(1)),
	}, w.ours[f], []string{"from_underlay", vxlanToPort}}
}

// An interface is created again, with another index. Until the next Apply the general rules decide: all valid packets arrive, and
// forged ones are dropped. After Apply the early rules have the new index.
func TestInterfaceIsCreatedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		again   func(w spoofWires)
		through func(w spoofWires, f int) traffic
		index   func(r Rules, f int) int
	}{
		"bridge": {func(w spoofWires) { w.node.sh("ip link del cni0\n" + makeBridge) }, spoofWires.throughBridge, func(r Rules, _ int) int { return r.Bridge.Index }},
		"overlay devices": {func(w spoofWires) { w.node.sh("ip link del vxlan1; ip link del vxlan1-v6\n" + makeTunnels) }, spoofWires.throughTunnel,
			func(r Rules, f int) int { return r.Overlay[f].Index }},
		"underlay": {func(w spoofWires) {
			w.node.sh("ip link del eth0\n" + makeUnderlay)
			w.outside.sh(makeUnderlayOutside)
		}, spoofWires.throughUnderlay, func(r Rules, _ int) int { return r.Underlay.Index }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newBridgeWires(t)
			former := early.rules(w.node, bridgedPods)
			for f := range subnet.Families {
				p := c.through(w, f)
				w.node.passesBy(former, p.send, p.receiver, p.by...)
			}
			w.node.apply(former)
			c.again(w)
			w.resolve()
			now := early.rules(w.node, bridgedPods)
			for f, family := range subnet.Families {
				if c.index(now, f) == c.index(former, f) {
					t.Fatalf("%s: the new interface has the former index %d", family, c.index(now, f))
				}
				p := c.through(w, f)
				passes(t, p.send, p.receiver)
				for reason, send := range p.forged {
					w.node.dropsNow(reason, send, p.receiver)
				}
			}
			w.node.apply(now)
			w.node.quiet(now)
			for f := range subnet.Families {
				p := c.through(w, f)
				w.node.passesBy(now, p.send, p.receiver, p.by...)
				for reason, send := range p.forged {
					w.node.drops(now, reason, send, p.receiver)
				}
			}
		})
	}
}

// Another interface gets the index of one that was deleted. The kernel does not do that by itself, but an administrator can. Until
// the next Apply, the early rules accept packets from the new interface as if they came from the deleted one. The guards in input still apply. After Apply no rule has that index.
func TestAnotherInterfaceGetsTheIndex(t *testing.T) {
	// addEth1 adds a link eth1 between the node and the outside. The node's end has the index. The outside then sends everything
	// there.
	addEth1 := func(w spoofWires, index int) {
		w.node.sh(fmt.Sprintf(`ip link add eth1 index %d type veth peer name eth1 netns outside; ip link set eth1 up
ip addr add 198.18.1.1/24 dev eth1; ip addr add 2001:db8:1::1/64 dev eth1 nodad; sysctl -qw net.ipv4.conf.eth1.rp_filter=0`, index))
		w.outside.sh(`ip link set eth1 up; ip addr add 198.18.1.2/24 dev eth1; ip addr add 2001:db8:1::2/64 dev eth1 nodad
for to in 198.18.0.1 10.5.34.0/24; do ip route replace $to via 198.18.1.1; done
for to in 2001:db8::1 fd00:5:0:22::/64; do ip route replace $to via 2001:db8:1::1; done`)
		w.node.reached("198.18.1.1", w.outside)
		w.node.reached("2001:db8:1::1", w.outside)
	}
	for name, c := range map[string]struct {
		gone, again string // scripts for the node
		index       func(r Rules) int
		from        func(f int) string // source address of what the early rules accept
		to          func(f int) string
		payload     []byte
		at          func(w spoofWires, f int) arrivals
		reason      string // after Apply
	}{
		"of the bridge": {"ip link del cni0", makeBridge, func(r Rules) int { return r.Bridge.Index },
			func(f int) string { return siblingAt[f] }, func(f int) string { return port(nodeAt[f]) }, []byte("hello"),
			func(w spoofWires, f int) arrivals { return w.atNode[f] }, "pod_source_forged"},
		"of the overlay's device": {"ip link del vxlan1; ip link del vxlan1-v6", makeTunnels, func(r Rules) int { return r.Overlay[subnet.IPv4].Index },
			func(f int) string { return tunnelledAt[f] }, func(f int) string { return port(podAt[f]) }, []byte("hello"),
			func(w spoofWires, f int) arrivals { return w.atPod[f] }, "pod_source_forged"},
		"of the underlay": {"ip link del eth0; ip addr add 198.18.0.1/32 dev lo; ip addr add 2001:db8::1/128 dev lo",
			`ip addr del 198.18.0.1/32 dev lo; ip addr del 2001:db8::1/128 dev lo; ip link add eth0 type bridge; ip link set eth0 up
ip addr add 198.18.0.1/24 brd + dev eth0; ip addr add 2001:db8::1/64 dev eth0 nodad`, func(r Rules) int { return r.Underlay.Index },
			func(f int) string { return peerAt[f] }, func(f int) string { return to8472(nodeAt[f]) }, vxlan(1),
			func(w spoofWires, f int) arrivals { return w.ours[f] }, "vxlan_from_a_wrong_interface"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newBridgeWires(t)
			former := early.rules(w.node, bridgedPods)
			w.node.apply(former)
			w.node.sh(c.gone)
			addEth1(w, c.index(former))
			f := int(subnet.IPv4)
			send := w.outside.sends(c.from(f), c.to(f), c.payload)
			passes(t, send, c.at(w, f))
			if c.from(f) == siblingAt[f] {
				passes(t, w.outside.sends(peerAt[f], to8472(nodeAt[f]), vxlan(2)), w.others[f])
				w.node.dropsNow("vxlan_from_a_pod", w.outside.sends(siblingAt[f], to8472(nodeAt[f]), vxlan(1)), w.others[f])
			}
			now := early.rules(w.node, bridgedPods)
			w.node.drops(now, c.reason, send, c.at(w, f))
			w.node.sh(c.again)
			now = early.rules(w.node, bridgedPods)
			if index := c.index(now); index == c.index(former) || index == 0 {
				t.Fatalf("the new interface has index %d, the former had %d", index, c.index(former))
			}
			w.node.drops(now, c.reason, send, c.at(w, f))
		})
	}
}
