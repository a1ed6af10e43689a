package firewall

import (
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/podlane/podlane/subnet"
)

// secondPodAt holds the addresses of this node's second pod, which is behind an interface of its own.
var secondPodAt = [...]string{"10.5.34.130", "fd00:5:0:22:8000::2"}

// twoPodInterfaces has a pod behind each of two interfaces.
var twoPodInterfaces = with(func(r *Rules) { r.PodInterfaces = []string{"pod0", "pod1"} })

// newTwoPodWires returns spoofWires whose outside is the second pod. layout is a script that adds the addresses and routes of the
// node's two pod interfaces. second receives at the second pod.
//
//	pod 10.5.34.2 ------- pod0 node
//	outside 10.5.34.130 - pod1
func newTwoPodWires(t *testing.T, layout string) (w spoofWires, second [len(subnet.Families)]arrivals) {
	w.overlayWires = newOverlayWires(t)
	w.node.sh(`ip link add pod1 type veth peer name eth1 netns outside; ip link set pod1 up
ip -6 addr flush dev pod0 scope global; ip addr flush dev pod0 scope global
sysctl -qw net.ipv4.conf.pod1.rp_filter=0
` + layout)
	w.outside.sh(`ip route flush 10.5.34.0/24; ip -6 route flush fd00:5:0:22::/64; ip link set eth1 up
sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth1.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0
ip addr add 10.5.34.130/32 dev eth1; ip addr add fd00:5:0:22:8000::2/128 dev eth1 nodad
ip route add 10.5.34.1 dev eth1; ip route add 10.5.34.2 via 10.5.34.1; ip route add fd00:5:0:22::1 dev eth1; ip route add fd00:5:0:22::2 via fd00:5:0:22::1`)
	w.pod.sh(`ip route add 10.5.34.130 via 10.5.34.1; ip route add fd00:5:0:22:8000::2 via fd00:5:0:22::1`)
	for f := range subnet.Families {
		w.atNode[f] = w.node.socket(port(nodeAt[f]))
		w.atPod[f] = w.pod.socket(port(podAt[f]))
		second[f] = w.outside.socket(port(secondPodAt[f]))
		w.node.reached(gatewayAt[f], w.pod)
		w.outside.reached(secondPodAt[f], w.pod)
		w.pod.reached(podAt[f], w.outside, "-I", secondPodAt[f])
	}
	return w, second
}

// If several interfaces lead to pods, a pod must not send as a pod behind another interface. The route lookups of the general
// rules prevent that.
func TestPodsBehindSeveralInterfaces(t *testing.T) {
	for name, layout := range map[string]string{
		"two bridges, each with half of the subnet": `
ip addr add 10.5.34.1/25 dev pod0; ip addr add fd00:5:0:22::1/65 dev pod0 nodad
ip addr add 10.5.34.129/25 dev pod1; ip addr add fd00:5:0:22:8000::1/65 dev pod1 nodad
sysctl -qw net.ipv4.conf.pod1.proxy_arp=1 net.ipv6.conf.pod1.proxy_ndp=1; ip neigh add proxy fd00:5:0:22::1 dev pod1`,
		"a bridge with the subnet, another with a part": `
ip addr add 10.5.34.1/24 dev pod0; ip addr add fd00:5:0:22::1/64 dev pod0 nodad
ip addr add 10.5.34.129/25 dev pod1; ip addr add fd00:5:0:22:8000::1/65 dev pod1 nodad
sysctl -qw net.ipv4.conf.pod1.proxy_arp=1 net.ipv6.conf.pod1.proxy_ndp=1; ip neigh add proxy fd00:5:0:22::1 dev pod1`,
		"a veth for each pod": `
ip addr add 10.5.34.1/32 dev pod0; ip addr add fd00:5:0:22::1/128 dev pod0 nodad
ip addr add 10.5.34.1/32 dev pod1; ip addr add fd00:5:0:22::1/128 dev pod1 nodad
ip route add 10.5.34.2 dev pod0; ip route add fd00:5:0:22::2 dev pod0
ip route add 10.5.34.130 dev pod1; ip route add fd00:5:0:22:8000::2 dev pod1`,
	} {
		t.Run(name, func(t *testing.T) {
			w, second := newTwoPodWires(t, layout)
			rules := early.rules(w.node, twoPodInterfaces)
			rules.Bridge = w.node.bridge("pod0") // the daemon sets no bridge then
			for f, family := range subnet.Families {
				for _, c := range []struct {
					name     string
					from     *node
					as, to   string
					receiver arrivals
					forged   bool
				}{
					{"pod to the second pod", w.pod, podAt[f], secondPodAt[f], second[f], false},
					{"second pod to the pod", w.outside, secondPodAt[f], podAt[f], w.atPod[f], false},
					{"pod to the node", w.pod, podAt[f], nodeAt[f], w.atNode[f], false},
					{"pod as the second pod", w.pod, secondPodAt[f], nodeAt[f], w.atNode[f], true},
					{"pod as another node's pod", w.pod, tunnelledAt[f], nodeAt[f], w.atNode[f], true},
				} {
					t.Run(family.String()+" "+c.name, func(t *testing.T) {
						w.in(t)
						send := c.from.sends(c.as, port(c.to), []byte("hello"))
						if c.forged {
							w.node.drops(rules, "pod_source_forged", send, c.receiver)
						} else {
							w.node.passesBy(rules, send, c.receiver)
						}
					})
				}
			}
		})
	}
}

// With a single pod behind a veth, only the pod's own address is accepted. From no address of the veth the kernel makes a route to
// the whole pod subnet, so there is no early rule.
func TestOnePodBehindAVeth(t *testing.T) {
	w := newSpoofWires(t)
	w.node.sh(`ip -6 addr flush dev pod0 scope global; ip addr flush dev pod0 scope global
ip addr add 10.5.34.1/32 dev pod0; ip addr add fd00:5:0:22::1/128 dev pod0 nodad
ip route add 10.5.34.2 dev pod0; ip route add fd00:5:0:22::2 dev pod0`)
	rules := early.rules(w.node, dual)
	for f, family := range subnet.Families {
		t.Run(family.String(), func(t *testing.T) {
			w.in(t)
			w.node.reached(gatewayAt[f], w.pod)
			w.node.passesBy(rules, w.pod.sends(podAt[f], port(nodeAt[f]), []byte("hello")), w.atNode[f])
			w.node.drops(rules, "pod_source_forged", w.pod.sends(siblingAt[f], port(nodeAt[f]), []byte("hello")), w.atNode[f])
		})
	}
}

// If the facts about one family are missing, the other family still has its early rules. Forged packets of both are dropped.
func TestEarlyRulesOfOneFamily(t *testing.T) {
	w := newTunnelWires(t)
	for one := range subnet.Families {
		rules := early.rules(w.node, dual)
		isOther := func(a netip.Addr) bool { return subnet.FamilyOf(a) != subnet.Families[one] }
		rules.Addrs = slices.DeleteFunc(slices.Clone(rules.Addrs), isOther)
		rules.Bridge.Addrs = slices.DeleteFunc(slices.Clone(rules.Bridge.Addrs), func(p netip.Prefix) bool { return isOther(p.Addr()) })
		rules.Overlay[1-one] = Interface{}
		for f, family := range subnet.Families {
			t.Run("rules of "+subnet.Families[one].String()+", packets of "+family.String(), func(t *testing.T) {
				w.in(t)
				only := func(chains ...string) []string {
					if f != one {
						return nil
					}
					return chains
				}
				w.node.passesBy(rules, w.pod.sends(podAt[f], port(nodeAt[f]), []byte("hello")), w.atNode[f], only("from_pods")...)
				w.node.passesBy(rules, w.fromTunnel(f, tunnelledAt[f], port(podAt[f])), w.atPod[f], only(fromTunnels[f], "from_underlay", vxlanToPort)...)
				w.node.passesBy(rules, w.outside.sends(peerAt[f], to8472(nodeAt[f]), vxlan(1)), w.ours[f], only("from_underlay", vxlanToPort)...)
				w.node.drops(rules, "pod_source_forged", w.pod.sends(tunnelledAt[f], port(nodeAt[f]), []byte("hello")), w.atNode[f])
				w.node.drops(rules, "pod_source_forged", w.fromTunnel(f, unleasedAt[f], port(podAt[f])), w.atPod[f])
				w.node.drops(rules, "vxlan_not_from_a_peer", w.outside.sends(strangerAt[f], to8472(nodeAt[f]), vxlan(1)), w.ours[f])
			})
		}
	}
}

// Without masquerade, one rule keeps connection tracking on in the namespace, and so the reassembly of fragments.
func TestConnectionsAreTrackedWithoutMasquerade(t *testing.T) {
	w := newOverlayWires(t)
	w.inForms(t, func(t *testing.T, form tableForm) {
		w.node.apply(form.rules(w.node, with(func(r *Rules) { r.Masquerade = false })))
		for f := range subnet.Families {
			passes(t, w.outside.sends(peerAt[f], net.JoinHostPort(nodeAt[f], "8472"), vxlan(2)), w.others[f])
			if got := w.node.tracked(peerAt[f], nodeAt[f]); got != 1 {
				t.Errorf("%s: got %d tracked connections, want 1", subnet.Families[f], got)
			}
		}
		w.node.forget()
	})
}
