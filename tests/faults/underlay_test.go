package faults

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// The network below the overlay changes.
var underlayFaults = []fault{
	{"cable pulled and plugged in", func(t *testing.T, b *bed) {
		b.flap(t, func() { cluster.Check(t, b.Nodes[0].Unplug()) }, func() { cluster.Check(t, b.Nodes[0].Plug()) })
	}},
	{"underlay interface down and up", func(t *testing.T, b *bed) {
		words := b.wordsOf(t)
		b.flap(t, func() { b.do(t, words, "ip link set eth0 down") }, func() {
			b.do(t, words, "ip link set eth0 up", "ip address add HOST6/64 dev eth0", default4, default6)
		})
	}},
	{"addresses of the underlay interface flushed and added again", func(t *testing.T, b *bed) {
		words := b.wordsOf(t)
		b.flap(t, func() { b.do(t, words, "ip address flush dev eth0") }, func() {
			b.do(t, words, "ip address add HOST4/16 dev eth0", "ip address add HOST6/64 dev eth0", default4, default6)
		})
	}},
	{"underlay address changes", changeAddress},
	{"underlay moves to another interface", move()},
	{"underlay moves to another interface of a list", move("--iface=eth0,eth1")},
	{"underlay moves to another interface by its network", move("--iface=198.18.0.0/16")},
	{"underlay moves to another interface by its name's form", move("--iface-regex=^eth")},
	{"underlay moves to another interface that reaches a router", move("--iface-can-reach=198.18.0.1")},
	{"MTU of the underlay changes", changeMTU},
}

func TestUnderlay(t *testing.T) {
	runFaultsAround(t, slices.Concat(underlayFaults, keepUnderlayFaults))
}

// Routes that the kernel deletes together with a node's addresses or interface.
const (
	default4 = "ip route replace default via 198.18.0.1"
	default6 = "ip -6 route replace default via fd98:18::1"
)

const (
	// flapTime is how long the underlay is down.
	flapTime = 300 * time.Millisecond
	// underlayLimit is the time for the node and its peers to follow a change of the underlay.
	underlayLimit = 2 * second
)

// flap takes the first node's underlay down for a moment. Soon after, the kernel must be as before.
func (b *bed) flap(t *testing.T, down, up func()) {
	t.Helper()
	whole, cut := b.floodAround(t, peers)
	down()
	<-time.After(flapTime)
	up()
	began := time.Now()
	t.Logf("the pods talk %v after the underlay is up again", cut.ExpectFlow(t, underlayLimit).Round(time.Millisecond))
	cluster.Until(t, underlayLimit-min(underlayLimit, time.Since(began)), "the kernel is as it was", func() (bool, string) {
		now, err := cluster.ReadKernel(cluster.Within(t), b.Nodes[0])
		return err == nil && now == b.Kernels[0], cluster.Differences(b.Kernels[0], now)
	})
	cut.ExpectGap(t, soon) // as long as it was down, and until then
	whole.ExpectNothingLost(t)
}

// changeAddress gives the first node other addresses and then its own again, a few times.
func changeAddress(t *testing.T, b *bed) {
	words := b.wordsOf(t)
	for range 3 {
		b.expectFollowed(t, "198.18.9.9", "fd98:18::909", func() {
			b.do(t, words, "ip address del HOST4/16 dev eth0", "ip address del HOST6/64 dev eth0",
				"ip address add 198.18.9.9/16 dev eth0", "ip address add fd98:18::909/64 dev eth0", default4, default6)
		})
		b.expectFollowed(t, words.Replace("HOST4"), words.Replace("HOST6"), func() {
			b.do(t, words, "ip address del 198.18.9.9/16 dev eth0", "ip address del fd98:18::909/64 dev eth0",
				"ip address add HOST4/16 dev eth0", "ip address add HOST6/64 dev eth0", default4, default6)
		})
	}
}

// move moves the first node's underlay from eth0 to another interface with other addresses, and back. podlaned has
// these arguments. The interface's MAC address never changes, as on a machine.
func move(args ...string) func(t *testing.T, b *bed) {
	return func(t *testing.T, b *bed) {
		n, words := b.Nodes[0], b.wordsOf(t)
		if len(args) > 0 {
			cluster.Check(t, n.Restart(cluster.Within(t), args...))
		}
		cluster.RunInSandbox(t, "ip link add n1b type veth peer name eth1 address 02:00:00:00:01:01 netns n1")
		cluster.RunInSandbox(t, "ip link set n1b up master underlay0")
		b.expectFollowed(t, "198.18.9.1", "fd98:18::901", func() {
			b.do(t, words, "ip address flush dev eth0", "ip link set eth0 down", "ip link set eth1 up",
				"ip address add 198.18.9.1/16 dev eth1", "ip address add fd98:18::901/64 dev eth1", default4, default6)
		})
		b.expectFollowed(t, words.Replace("HOST4"), words.Replace("HOST6"), func() {
			cluster.RunInSandbox(t, "ip link del n1b")
			b.do(t, words, "ip link set eth0 up",
				"ip address add HOST4/16 dev eth0", "ip address add HOST6/64 dev eth0", default4, default6)
		})
		if len(args) > 0 {
			cluster.Check(t, n.Restart(cluster.Within(t)))
		}
	}
}

// expectFollowed changes the first node's addresses on the underlay. The node and its peers must follow.
func (b *bed) expectFollowed(t *testing.T, addr4, addr6 string, change func()) {
	t.Helper()
	whole, cut := b.floodAround(t, peers)
	change()
	took := cluster.Until(t, underlayLimit, "all nodes have the new addresses", func() (bool, string) {
		for i, n := range b.Nodes {
			command, word := "bridge fdb show", " dst "
			if i == 0 {
				command, word = "ip -d link show type vxlan", " local "
			}
			if now := cluster.Run(t, n.Place, command); !strings.Contains(now, word+addr4+" ") || !strings.Contains(now, word+addr6+" ") {
				return false, n.Name + ": " + now
			}
		}
		return true, ""
	})
	t.Logf("all nodes use %s after %v", addr4, took)
	cut.ExpectGap(t, underlayLimit)
	whole.ExpectNothingLost(t)
	if now := cluster.SubnetText(t, b.Nodes[0]); now != b.Subnets[0] {
		t.Errorf("pod subnet %s, want %s as before", now, b.Subnets[0])
	}
}

// A route other than the default route decides which interface reaches an address. podlaned ignores the kernel's
// notification of such a route. The next resync must find the change. A peer may renew its lease more often than that.
// This must not delay the resync.
func TestRenewalsDoNotDelayUnderlayChecks(t *testing.T) {
	const resync, news = 3 * second, 2 * second
	l := cluster.Start(t, lab.Options{Nodes: 1, NodeEnv: func(int) []string { return []string{"PODLANE_RESYNC=" + resync.String()} }}, 0)
	n := l.Nodes[0]
	cluster.Check(t, n.Restart(cluster.Within(t), "--iface-can-reach=203.0.113.1"))
	cluster.RunInSandbox(t, "ip link add n1b type veth peer name eth1 netns n1")
	cluster.RunInSandbox(t, "ip link set n1b up master underlay0")
	for _, c := range []string{"ip link set eth1 up", "ip address add 198.18.9.1/16 dev eth1"} {
		cluster.Run(t, n.Place, c)
	}
	p := etcdPeer{index: 240, addr: "198.18.7.1", mac: "ba:11:22:33:44:01"}
	var written time.Time
	expectLocal := func(addr string) {
		took := cluster.Until(t, resync+news+underlayLimit, "the overlay's local address is "+addr, func() (bool, string) {
			if time.Since(written) > news {
				p.put(t, l)
				written = time.Now()
			}
			now := cluster.Run(t, n.Place, "ip -d link show type vxlan")
			return strings.Contains(now, " local "+addr+" "), now
		})
		t.Logf("%s is the local address after %v", addr, took)
	}
	expectLocal(n.Addr.String())
	wait(t, resync) // by then the notifications of the new interface are processed
	cluster.Run(t, n.Place, "ip route add 203.0.113.1/32 via 198.18.0.1 dev eth1")
	expectLocal("198.18.9.1")
	cluster.Run(t, n.Place, "ip route del 203.0.113.1/32")
	expectLocal(n.Addr.String())
}

// changeMTU changes the MTU of the whole underlay. A pod that is added later has the new MTU.
func changeMTU(t *testing.T, b *bed) {
	for _, mtu := range []int{1400, 9000, 1500} {
		traffic := b.flood(t)
		for _, n := range b.Nodes {
			cluster.RunInSandbox(t, fmt.Sprintf("ip link set %s mtu %d", n.Name, mtu))
			cluster.Run(t, n.Place, fmt.Sprintf("ip link set eth0 mtu %d", mtu))
		}
		cluster.RunInSandbox(t, fmt.Sprintf("ip link set underlay0 mtu %d", mtu))
		want := strconv.Itoa(mtu - 70)
		took := cluster.Until(t, underlayLimit, "devices and node files have an MTU of "+want, func() (bool, string) {
			for _, n := range b.Nodes {
				links := cluster.Run(t, n.Place, "ip -o link show type vxlan")
				file := cluster.NodeFile(t, n)["PODLANE_MTU"]
				if strings.Count(links, " mtu "+want+" ") != 2 || file != want {
					return false, fmt.Sprintf("%s: node file %s, links %s", n.Name, file, links)
				}
			}
			return true, ""
		})
		t.Logf("all nodes use an MTU of %d after %v", mtu, took)
		traffic.ExpectNothingLost(t)
		late, err := b.AddPod(cluster.Within(t), b.Nodes[0], "late")
		cluster.Check(t, err)
		if links := cluster.Run(t, late.Place, "ip -o link show eth0"); !strings.Contains(links, " mtu "+want+" ") {
			t.Errorf("a new pod's link: want MTU %s: %s", want, links)
		}
		cluster.Check(t, late.Delete(cluster.Within(t)))
	}
}

// do runs commands on the first node.
func (b *bed) do(t *testing.T, words *strings.Replacer, commands ...string) {
	t.Helper()
	for _, c := range commands {
		cluster.Run(t, b.Nodes[0].Place, words.Replace(c))
	}
}
