package input

import (
	"fmt"
	"strings"
	"testing"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

func TestUnusableUnderlay(t *testing.T) {
	l := buildConfigured(t, 1, 0)
	n := l.Nodes[0]
	cluster.RunScript(t, n.Place, `ip link add bare0 type veth peer name bare1
ip link set bare0 up
ip link set bare1 up
ip link add down0 type veth peer name down1
ip address add 192.0.2.9/24 dev down0
sysctl -qw net.ipv6.conf.bare0.disable_ipv6=1 net.ipv6.conf.bare1.disable_ipv6=1`)
	const there = "...there are ...eth0 (198.18.1.1/16"
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"no such interface", []string{"--iface=eth7"}, exitError, "interface eth7 does not exist" + there},
		{"no such interface of several", []string{"--iface=eth7,eth8"}, exitError, "eth7 does not exist...eth8 does not exist" + there},
		{"without an address", []string{"--iface=bare0"}, exitError, "interface bare0 has no address that other nodes can use" + there},
		{"down", []string{"--iface=down0"}, exitError, "interface down0 is down" + there},
		{"address of no interface", []string{"--iface=198.51.100.1"}, exitError, "no interface has address 198.51.100.1" + there},
		{"CIDR of no interface", []string{"--iface=198.51.100.0/24"}, exitError, "no interface has an address in 198.51.100.0/24" + there},
		{"bad CIDR", []string{"--iface=198.18.0.0/33"}, exitUsage, `iface "198.18.0.0/33" is not a CIDR such as 198.18.0.0/16`},
		{"loopback by CIDR", []string{"--iface=127.0.0.0/8"}, exitError, "interface lo has no address that other nodes can use" + there},
		{"expression that matches none", []string{"--iface-regex=^wlan"}, exitError, `no interface has a name or an address that matches "^wlan"` + there},
		{"expression that is none", []string{"--iface-regex=eth["}, exitUsage, `iface-regex...eth[...missing closing ]`},
		{"unreachable", []string{"--iface-can-reach=192.0.2.77"}, exitError, "192.0.2.77 cannot be reached: there is no route to 192.0.2.77" + there},
		{"own address to be reached", []string{"--iface-can-reach=198.18.1.1"}, exitError, "198.18.1.1 is an address of this node itself" + there},
		{"no address to be reached", []string{"--iface-can-reach=router"}, exitUsage, `"router" for flag -iface-can-reach: want an IP address`},
		{"public address that is none", []string{"--public-ip=here"}, exitUsage, `"here" for flag -public-ip: want an IP address`},
		{"public address of the wrong family", []string{"--public-ip=fd00::1"}, exitUsage, "public-ip fd00::1 is not an IPv4 address"},
		{"public address that is no node's", []string{"--public-ip=127.0.0.1"}, exitUsage, "public-ip 127.0.0.1 cannot be the address of a node"},
		{"public address 0", []string{"--public-ip=0.0.0.0"}, exitUsage, "public-ip 0.0.0.0 cannot be the address of a node"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "unreachable" {
				cluster.RunScript(t, n.Place, "ip route del default")
				defer cluster.RunScript(t, n.Place, "ip route add default via 198.18.0.1")
			}
			run(t, n, nil, c.args...).expectError(t, c.code, c.want)
			expectUntouched(t, l, n, lab.DefaultPrefix)
		})
	}
	t.Run("no default route", func(t *testing.T) {
		cluster.RunScript(t, n.Place, "ip route del default")
		defer cluster.RunScript(t, n.Place, "ip route add default via 198.18.0.1")
		run(t, n, nil).expectError(t, exitError, "for IPv4...for IPv6...name the interface with --iface"+there)
		expectUntouched(t, l, n, lab.DefaultPrefix)
	})
}

func TestUnderlayThatDoesNotFitTheNetwork(t *testing.T) {
	for _, c := range []struct{ name, config, prepare, want string }{
		{"MTU too small", lab.DefaultConfig, "ip link set eth0 mtu 625",
			"underlay eth0 has an MTU of 625: it leaves 575 for the overlay, which needs at least 576"},
		{"MTU too small for IPv6", `{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:5::/48"}`, "ip link set eth0 mtu 1280",
			"underlay eth0 has an MTU of 1280: it leaves 1210 for the overlay, which needs at least 1280"},
		{"configured MTU too big", `{"Network":"10.5.0.0/16","Backend":{"MTU":1451}}`, "",
			"configured MTU 1451 is more than the 1450 that underlay eth0 leaves for the overlay (its MTU is 1500)"},
		{"same network", `{"Network":"198.18.0.0/16"}`, "",
			"pod network 198.18.0.0/16 overlaps 198.18.1.1/16 of underlay interface eth0: give the pod network other addresses"},
		{"network around the underlay's", `{"Network":"198.16.0.0/12"}`, "",
			"pod network 198.16.0.0/12 overlaps 198.18.1.1/16 of underlay interface eth0"},
		{"network within the underlay's", `{"Network":"198.18.192.0/20"}`, "",
			"pod network 198.18.192.0/20 overlaps 198.18.1.1/16 of underlay interface eth0"},
		{"last pod subnet on the underlay", `{"Network":"198.16.0.0/12","SubnetMin":"198.16.0.0","SubnetMax":"198.18.0.0"}`, "",
			"pod network 198.16.0.0/12 overlaps 198.18.1.1/16 of underlay interface eth0...the pod subnets, now 198.16.0.0 to 198.18.0.255, do not overlap the underlay, 198.18.0.0 to 198.18.255.255"},
		{"IPv6 without an address", `{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00:5::/48"}`, "",
			"underlay eth0 has no IPv6 address, which the IPv6 overlay needs"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := build(t, 1)
			n := l.Nodes[0]
			if err := l.SetConfig(t.Context(), c.config); err != nil {
				t.Fatal(err)
			}
			cluster.RunScript(t, n.Place, c.prepare)
			run(t, n, nil).expectError(t, exitError, c.want)
			expectUntouched(t, l, n, lab.DefaultPrefix)
		})
	}
}

func TestPublicAddressThatDoesNotFitTheNetwork(t *testing.T) {
	l := build(t, 1)
	n := l.Nodes[0]
	if err := l.SetConfig(t.Context(), lab.DefaultConfig); err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		"198.18.255.255": "public address 198.18.255.255 is the broadcast address of the underlay 198.18.0.0/16: give this node another with --public-ip",
		"198.18.0.0":     "public address 198.18.0.0 is the network address of the underlay 198.18.0.0/16: give this node another with --public-ip",
		"10.5.7.1":       "public address 10.5.7.1 is in the pod network: pods have 10.5.1.0-10.5.255.255: give this node another with --public-ip",
	} {
		t.Run(address, func(t *testing.T) {
			run(t, n, nil, "run", "--public-ip="+address).expectError(t, exitError, want)
			expectUntouched(t, l, n, lab.DefaultPrefix)
		})
	}
}

// An MTU of 1280, such as tailscale's, is enough for IPv4.
func TestSmallUnderlay(t *testing.T) {
	l := buildConfigured(t, 2, 0)
	for _, n := range l.Nodes {
		cluster.RunScript(t, n.Place, "ip link set eth0 mtu 1280; ip link property add dev eth0 altname uplink")
		start(t, n, "--iface=uplink")
	}
	expectPods(t, l, 1230)
}

// The underlay's address is on lo, as with BGP to the host. The MTU is that of the route to the other nodes.
func TestUnderlayOnLoopback(t *testing.T) {
	l := buildConfigured(t, 2, 0)
	n, other := l.Nodes[0], l.Nodes[1]
	cluster.RunScript(t, n.Place, "ip address add 192.0.2.1/32 dev lo; ip route del default")
	run(t, n, nil, "--iface=lo").expectError(t, exitError, "no packet leaves through underlay lo...no route to a peer or to a router...set Backend.MTU in the network configuration")
	expectUntouched(t, l, n, lab.DefaultPrefix)

	cluster.RunScript(t, n.Place, "ip route add default via 198.18.0.1; ip link set eth0 mtu 1400")
	cluster.RunScript(t, other.Place, "ip route add 192.0.2.1 via 198.18.1.1; ip link set eth0 mtu 1400")
	start(t, n, "--iface=lo")
	start(t, other)
	expectPods(t, l, 1350)
}

func start(t *testing.T, n *lab.Node, args ...string) {
	t.Helper()
	if err := n.Start(t.Context(), args...); err != nil {
		t.Fatal(err)
	}
}

// expectPods adds a pod on each of two nodes and checks its MTU. A packet of that size must reach the other pod. This
// may take until its node has the new peer.
func expectPods(t *testing.T, l *lab.Lab, mtu int) {
	t.Helper()
	if err := l.AddPods(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	pods := l.Pods()
	for i, p := range pods {
		if out, err := p.Run(t.Context(), "ip", "link", "show", "eth0"); err != nil || !strings.Contains(out, fmt.Sprintf(" mtu %d ", mtu)) {
			t.Errorf("link of %s: %s, error %v; want an MTU of %d", p.Name, out, err, mtu)
		}
		size := fmt.Sprint(mtu - 28) // without the IP and ICMP headers
		if out, err := p.Run(t.Context(), "ping", "-c1", "-w10", "-i0.1", "-Mdo", "-s"+size, pods[1-i].Addrs[0].String()); err != nil {
			t.Errorf("ping from %s: %v: %s", p.Name, err, out)
		}
	}
}
