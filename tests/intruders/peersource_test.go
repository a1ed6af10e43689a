package intruders

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/lab/sandbox"
	"github.com/podlane/podlane/tests/cluster"
	"github.com/podlane/podlane/tests/stream"
)

// Pods, and a machine behind an interface that is not the underlay, send VXLAN with a peer's address to all addresses
// of the node. Another program redirects one more port to the VXLAN port.
func TestVXLANWithAPeersSource(t *testing.T) {
	b := makeBed(t)
	n1, n2 := b.nodes[0], b.nodes[1]
	machine := sandbox.Test(t, "machine")
	cluster.RunScript(t, n1.Place, addMachinePort)
	cluster.RunScript(t, n1.Place, strings.Replace(addMachineInterface, "INDEX", "", 1))
	b.disableReversePathFilter(t)
	cluster.RunScript(t, n1.Place, "sysctl -qw net/ipv4/conf/lan0/rp_filter=0; nft 'table inet operator { chain operator { type nat hook prerouting priority dstnat; udp dport 9999 redirect to :8472; }; }'")
	var forged batch
	for _, f := range families {
		to := listen(t, b.pods[0][1], b.pods[0][1].Addrs[f])
		for _, at := range []netip.Addr{addrs(n1)[f], gateways(t, n1)[f], cluster.OverlayAddr(t, n1, to.addr.Addr()), machineNet[f].Addr()} {
			for _, port := range []uint16{tunnelPort, 9999} {
				add := func(from string, place stream.Place, source netip.Addr) {
					inside := tunnelled(vtep(t, n1, f), netip.AddrPortFrom(b.pods[1][0].Addrs[f], 4567), to.addr, forged.nextPayload())
					at := netip.AddrPortFrom(at, port)
					forged.addVXLAN(fmt.Sprintf("%s as %s to %s", from, source, at), place, source, at, inside, to)
				}
				add("a pod", b.pods[0][0], addrs(n2)[f])
				add("a pod", b.pods[0][0], b.pods[0][0].Addrs[f])
				if f == ipv4 && port == tunnelPort { // the reverse-path check precedes NAT, and is loose for IPv6
					add("a machine", machine, addrs(n2)[f])
				}
				add("a machine", machine, machineNet[f].Addr().Next())
			}
		}
	}
	b.withoutFirewall(t, func() { forged.expectArrival(t) })
	forged.expectDropped(t, n1)
}

// machineNet is the network between a node and the machine, with the node's address. The machine has the next one.
var machineNet = [...]netip.Prefix{ipv4: netip.MustParsePrefix("192.168.77.1/24"), ipv6: netip.MustParsePrefix("fd77::1/64")}

// addMachinePort and addMachineInterface are scripts for a node. They add the interface lan0, which does not lead to pods.
// The network namespace machine is behind it. Callers replace INDEX with an option that gives lan0 an index, or with nothing.
const (
	lanMAC         = "02:00:00:00:77:01"
	addMachinePort = `
ip link add lan1 type veth peer name eth0 netns machine; ip link set up lan1
ip netns exec machine sh -ec '
ip address add 192.168.77.2/24 dev eth0; ip address add fd77::2/64 dev eth0 nodad; ip link set up eth0
ip route add default via 192.168.77.1; ip route add default via fd77::1
ip neighbour add 192.168.77.1 lladdr ` + lanMAC + ` dev eth0; ip neighbour add fd77::1 lladdr ` + lanMAC + ` dev eth0'`
	addMachineInterface = `ip -batch - <<X
link add link lan1 name lan0 INDEX address ` + lanMAC + ` type macvlan mode private
link set up lan0
address add 192.168.77.1/24 dev lan0
address add fd77::1/64 dev lan0 nodad
X
`
)

// An interface is deleted, and another one gets its index at once. A machine behind the other one sends packets that only
// the deleted one may receive. They are accepted at most until podlaned has removed the rules with the index. Then the
// deleted interface is created again, with a new index.
func TestAnotherInterfaceGetsTheIndex(t *testing.T) {
	for _, device := range []string{"eth0", "cni0", "podlane.1"} {
		t.Run(device, func(t *testing.T) {
			b := makeBed(t)
			b.disableReversePathFilter(t)
			n1, n2, pod, peersPod := b.nodes[0], b.nodes[1], b.pods[0][0], b.pods[1][0]
			var to *receiver
			var forged batch
			machine := sandbox.Test(t, "machine")
			switch device {
			case "eth0":
				to = listen(t, pod, pod.Addrs[ipv4])
				inside := tunnelled(vtep(t, n1, ipv4), netip.AddrPortFrom(peersPod.Addrs[ipv4], 4567), to.addr, numberedPayload(0))
				forged.addVXLAN("as a peer", machine, n2.Addr, tunnelTo(n1, ipv4), inside, to)
			case "cni0":
				to = listen(t, peersPod, peersPod.Addrs[ipv4])
				forged.add("as a pod of the node", machine, pod.Addrs[ipv4], to)
			case "podlane.1":
				to = listen(t, pod, pod.Addrs[ipv4])
				forged.add("as a pod of a peer", machine, peersPod.Addrs[ipv4], to)
			}
			cluster.RunScript(t, n1.Place, addMachinePort)
			sent := forged.sendContinuously(t)
			began := time.Now()
			cluster.RunScript(t, n1.Place, fmt.Sprintf("sysctl -qw net/ipv4/conf/default/rp_filter=0; ip address add %s/32 dev lo; index=$(ip -o link show %s | cut -d: -f1)\n", n1.Addr, device)+
				strings.NewReplacer("link add", "link del "+device+"\nlink add", "INDEX", "index $index").Replace(addMachineInterface)+`ip -o link show lan0 | grep -q "^$index:"`)
			awaitMore(t, sent, 300)
			switch device {
			case "eth0":
				b.addUnderlay(t, n1)
				cluster.StartFlood(t, [2]*lab.Pod{pod, peersPod}).ExpectNothingLost(t)
			case "cni0": // a new pod needs it
				_, err := b.AddPod(cluster.Within(t), n1, "n1c")
				cluster.Check(t, err)
			case "podlane.1": // podlaned restores it
				cluster.Until(t, soon, device+" exists again", func() (bool, string) {
					out, err := n1.Run(cluster.Within(t), "ip", "link", "show", device)
					return err == nil, out
				})
			}
			awaitMore(t, sent, 300)
			cluster.Until(t, soon, "n1 drops the packets", func() (bool, string) {
				count := dropped(t, n1)
				return count >= 300, fmt.Sprintf("%d dropped, %d accepted", count, forged.arrived()[0])
			})
			accepted := to.arrivals()
			t.Logf("%d of %d packets are accepted, %d dropped", len(accepted), sent.Load(), dropped(t, n1))
			if len(accepted) > 0 {
				if open := accepted[len(accepted)-1].when.Sub(began); open > time.Second {
					t.Errorf("packets are accepted for %v, want at most 1s", open)
				}
			}
			b.withoutFirewall(t, func() {
				cluster.Until(t, soon, "the packets are accepted without a firewall", func() (bool, string) { return forged.arrived()[0] > 0, "none" })
			})
		})
	}
}

// addUnderlay creates the deleted underlay interface of a node again.
func (b *bed) addUnderlay(t *testing.T, n *lab.Node) {
	t.Helper()
	out, err := exec.CommandContext(cluster.Within(t), "sh", "-ec", fmt.Sprintf(`
ip link add %[1]s type veth peer name eth0 address 02:00:00:00:00:%02[2]x netns %[1]s
ip link set %[1]s up master underlay0`, n.Name, n.Index)).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cluster.RunScript(t, n.Place, fmt.Sprintf(`
ip address del %[1]s/32 dev lo; ip address add %[1]s/16 dev eth0; ip address add %[2]s/64 dev eth0 nodad; ip link set up eth0
ip route add default via 198.18.0.1; ip route add default via fd98:18::1`, n.Addr, n.Addr6))
	cluster.AwaitPeers(t, b.Lab, soon, 1)
}

// Hosts and pods send VXLAN in fragments. The first one ends before the VNI. Without masquerading, only podlane's rules for
// VXLAN make the kernel reassemble them.
func TestFragmentsOfForgedVXLAN(t *testing.T) {
	b := makeBedOf(t, cluster.DualStack, "PODLANE_IP_MASQ=false")
	n1, n2, pod := b.nodes[0], b.nodes[1], b.pods[0][0]
	var forged batch
	add := func(name string, from stream.Place, source netip.Addr, n *lab.Node, to *lab.Pod) {
		receiver := listen(t, to, to.Addrs[ipv6])
		inside := tunnelled(vtep(t, n, ipv6), netip.AddrPortFrom(pod.Addrs[ipv6], 4567), receiver.addr, forged.nextPayload())
		forged.addVXLAN(name, from, source, tunnelTo(n, ipv6), inside, receiver)
		forged[len(forged)-1].open = openFragmentSender
	}
	for _, p := range []*lab.Place{pod.Place, b.nonPeer.Place} { // so no fragment waits for a neighbour
		cluster.Run(t, p, fmt.Sprintf("ping -q -c1 -W5 %s", n1.Addr6))
		cluster.Run(t, p, fmt.Sprintf("ping -q -c1 -W5 %s", n2.Addr6))
	}
	add("a host", b.nonPeer, b.nonPeer.Addr6, n2, b.pods[1][1])
	add("a pod to its node", pod, pod.Addrs[ipv6], n1, b.pods[0][1])
	add("a pod to another node", pod, pod.Addrs[ipv6], n2, b.pods[1][1])
	b.withoutFirewall(t, func() { forged.expectArrival(t) })
	forged.expectDropped(t, b.nodes[:]...)
}

// openFragmentSender is openSender for IPv6. It sends each datagram in two fragments (RFC 8200 section 4.5). The first
// has only the UDP header.
func openFragmentSender(t *testing.T, p stream.Place, source netip.Addr, to netip.AddrPort) sender {
	t.Helper()
	var socket int
	cluster.Check(t, p.Do(func() (err error) {
		socket, err = unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		return err
	}))
	t.Cleanup(func() { _ = unix.Close(socket) })
	id := uint32(0)
	return func(payload []byte) error {
		id++
		whole := datagram(netip.AddrPortFrom(source, 4242), to, payload)
		header, udp := whole[:40], whole[40:]
		var errs []error
		for i, part := range [][]byte{udp[:8], udp[8:]} {
			b := append([]byte{}, header...)
			binary.BigEndian.PutUint16(b[4:], uint16(8+len(part)))
			b[6] = unix.IPPROTO_FRAGMENT
			b = append(b, unix.IPPROTO_UDP, 0, 0, []byte{1, 8}[i]) // more follow; from byte 8 on
			b = append(binary.BigEndian.AppendUint32(b, id), part...)
			errs = append(errs, unix.Sendto(socket, b, 0, &unix.SockaddrInet6{Addr: to.Addr().As16()}))
		}
		return errors.Join(errs...)
	}
}
