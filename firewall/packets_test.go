package firewall

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// wires is a topology of three namespaces. The outside is a server, and also another node with pod 10.5.77.2.
//
//	pod 10.5.34.2 ---- 10.5.34.1 node 198.18.0.1 ---- 198.18.0.2 outside 10.5.77.2
type wires struct{ pod, node, outside *node }

func newWires(t *testing.T) wires {
	w := wires{newNode(t, "pod"), newNode(t, "node"), newNode(t, "outside")}
	for _, n := range []*node{w.pod, w.node, w.outside} {
		n.sh("sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0")
	}
	w.node.sh(`
ip link add eth0 type veth peer name eth0 netns outside
ip link add pod0 type veth peer name eth0 netns pod
ip addr add 198.18.0.1/24 brd + dev eth0; ip addr add 2001:db8::1/64 dev eth0 nodad
ip addr add 10.5.34.1/24 dev pod0; ip addr add fd00:5:0:22::1/64 dev pod0 nodad
ip link set eth0 up; ip link set pod0 up
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1`)
	w.pod.sh(`
ip addr add 10.5.34.2/24 dev eth0; ip addr add fd00:5:0:22::2/64 dev eth0 nodad
ip link set eth0 up
ip route add default via 10.5.34.1; ip route add default via fd00:5:0:22::1`)
	w.outside.sh(`
ip addr add 198.18.0.2/24 brd + dev eth0; ip addr add 2001:db8::2/64 dev eth0 nodad
ip addr add 10.5.77.2/32 dev lo; ip addr add fd00:5:0:4d::2/128 dev lo nodad
ip link set eth0 up
ip route add 10.5.34.0/24 via 198.18.0.1; ip route add fd00:5:0:22::/64 via 2001:db8::1`)
	w.node.sh(`
ip route add 10.5.77.0/24 via 198.18.0.2; ip route add fd00:5:0:4d::/64 via 2001:db8::2`)
	return w
}

// listen opens a UDP socket in the namespace, closed when the test ends.
func (n *node) listen(addr string) *net.UDPConn {
	n.Helper()
	c, err := here(n.ns, func() (*net.UDPConn, error) {
		return net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr)))
	})
	if err != nil {
		n.Fatal(err)
	}
	n.Cleanup(func() { _ = c.Close() })
	return c
}

// group opens a socket that has joined a multicast group on eth0.
func (n *node) group(addr string) *net.UDPConn {
	n.Helper()
	c, err := here(n.ns, func() (*net.UDPConn, error) {
		i, err := net.InterfaceByName("eth0")
		if err != nil {
			return nil, err
		}
		return net.ListenMulticastUDP("udp", i, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr)))
	})
	if err != nil {
		n.Fatal(err)
	}
	n.Cleanup(func() { _ = c.Close() })
	return c
}

// sendsGroupsTo makes a socket send multicast through an interface.
func (n *node) sendsGroupsTo(name string, c *net.UDPConn) error {
	i, err := here(n.ns, func() (*net.Interface, error) { return net.InterfaceByName(name) })
	if err != nil {
		return err
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	controlErr := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptIPMreqn(int(fd), unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &unix.IPMreqn{Ifindex: int32(i.Index)})
	})
	return errors.Join(controlErr, err)
}

// seen sends packets from one socket to an address until the other socket receives one. It returns the source that the
// receiver sees. The first packet may be lost while neighbours are resolved.
func seen(from, at *net.UDPConn, to string) (string, error) {
	answers, errs := make(chan string, 1), make(chan error, 1)
	if err := at.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	go func() {
		var b [64]byte
		_, source, err := at.ReadFromUDPAddrPort(b[:])
		if err != nil {
			errs <- err
			return
		}
		answers <- source.Addr().Unmap().String()
	}()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := from.WriteToUDPAddrPort([]byte("hello"), netip.MustParseAddrPort(to)); err != nil {
			return "", err
		}
		select {
		case a := <-answers:
			return a, nil
		case err := <-errs:
			return "", err
		case <-tick.C:
		}
	}
}

func TestSourceAddressAtTheReceiver(t *testing.T) {
	w := newWires(t)
	w.inForms(t, w.sourceAddressAtTheReceiver)
}

func (w wires) sourceAddressAtTheReceiver(t *testing.T, form tableForm) {
	w.node.apply(form.rules(w.node, dual))
	for _, c := range []struct {
		name  string
		from  *node
		local string // the sender's own address
		at    *node
		to    string
		want  string
	}{
		{"pod to outside", w.pod, "0.0.0.0", w.outside, "198.18.0.2", "198.18.0.1"},
		{"pod to pod on another node", w.pod, "0.0.0.0", w.outside, "10.5.77.2", "10.5.34.2"},
		{"pod to its gateway", w.pod, "0.0.0.0", w.node, "10.5.34.1", "10.5.34.2"},
		{"pod to its node", w.pod, "0.0.0.0", w.node, "198.18.0.1", "10.5.34.2"},
		{"node to its pod", w.node, "0.0.0.0", w.pod, "10.5.34.2", "10.5.34.1"},
		{"node to itself from its pod subnet", w.node, "10.5.34.1", w.node, "198.18.0.1", "10.5.34.1"},
		{"node to outside from its pod subnet", w.node, "10.5.34.1", w.outside, "198.18.0.2", "198.18.0.1"},
		{"node to the link's broadcast from its pod subnet", w.node, "10.5.34.1", w.outside, "198.18.0.255", "10.5.34.1"},
		{"outside to pod", w.outside, "198.18.0.2", w.pod, "10.5.34.2", "198.18.0.2"},
		{"pod of another node to pod", w.outside, "10.5.77.2", w.pod, "10.5.34.2", "10.5.77.2"},
		{"pod to outside, IPv6", w.pod, "::", w.outside, "2001:db8::2", "2001:db8::1"},
		{"pod to pod on another node, IPv6", w.pod, "::", w.outside, "fd00:5:0:4d::2", "fd00:5:0:22::2"},
		{"pod to its node, IPv6", w.pod, "::", w.node, "2001:db8::1", "fd00:5:0:22::2"},
		{"node to itself from its pod subnet, IPv6", w.node, "fd00:5:0:22::1", w.node, "2001:db8::1", "fd00:5:0:22::1"},
		{"outside to pod, IPv6", w.outside, "2001:db8::2", w.pod, "fd00:5:0:22::2", "2001:db8::2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			any := "0.0.0.0"
			if netip.MustParseAddr(c.to).Is6() {
				any = "::"
			}
			w.in(t)
			at := c.at.listen(net.JoinHostPort(any, "0"))
			_, port, _ := net.SplitHostPort(at.LocalAddr().String())
			from := c.from.listen(net.JoinHostPort(c.local, "0"))
			got, err := seen(from, at, net.JoinHostPort(c.to, port))
			if err != nil || got != c.want {
				t.Errorf("%s receives a packet from %q (error %v), want %s", c.to, got, err, c.want)
			}
		})
	}
}

func TestMulticastKeepsItsSource(t *testing.T) {
	w := newWires(t)
	w.inForms(t, func(t *testing.T, form tableForm) {
		w.node.apply(form.rules(w.node, dual))
		from := w.node.listen("10.5.34.1:0")
		if err := w.node.sendsGroupsTo("eth0", from); err != nil { // otherwise the kernel uses the interface with the source address
			t.Fatal(err)
		}
		got, err := seen(from, w.outside.group("239.1.2.3:4567"), "239.1.2.3:4567")
		if err != nil || got != "10.5.34.1" {
			t.Errorf("the group receives a packet from %q (error %v), want 10.5.34.1", got, err)
		}
	})
}

func TestNoMasquerade(t *testing.T) {
	w := newWires(t)
	w.inForms(t, func(t *testing.T, form tableForm) {
		w.node.apply(form.rules(w.node, with(func(r *Rules) { r.Masquerade = false })))
		got, err := seen(w.pod.listen("0.0.0.0:0"), w.outside.listen("198.18.0.2:4567"), "198.18.0.2:4567")
		if err != nil || got != "10.5.34.2" {
			t.Errorf("the outside receives a packet from %q (error %v), want 10.5.34.2", got, err)
		}
	})
}

func TestPodsPassAForwardPolicyThatDrops(t *testing.T) {
	w := newWires(t)
	for _, iptables := range []string{"iptables-nft", "iptables-legacy"} {
		t.Run(iptables, func(t *testing.T) {
			w.node.T, w.pod.T = t, t
			w.node.sh(iptables + " -P FORWARD DROP")
			defer func() { w.node.sh(iptables + " -P FORWARD ACCEPT") }()
			if out, err := w.pod.ns.Run("ping", "-c1", "-W0.3", "198.18.0.2"); err == nil {
				t.Fatalf("before Apply FORWARD forwards, want a drop:\n%s", out)
			}
			w.node.apply(dual)
			w.pod.sh("ping -c1 -W5 198.18.0.2; ping -c1 -W5 10.5.77.2")
			w.outside.sh("ping -c1 -W5 -I 10.5.77.2 10.5.34.2")
			w.node.cleanup()
			if out, err := w.pod.ns.Run("ping", "-c1", "-W0.3", "198.18.0.2"); err == nil {
				t.Errorf("after cleanup FORWARD forwards, want a drop:\n%s", out)
			}
		})
	}
}

// A masqueraded connection keeps its address and port while the table is rebuilt.
func TestRebuildKeepsConnections(t *testing.T) {
	w := newWires(t)
	w.node.apply(dual)
	from, at := w.pod.listen("0.0.0.0:0"), w.outside.listen("198.18.0.2:4567")
	if _, err := seen(from, at, "198.18.0.2:4567"); err != nil {
		t.Fatal(err)
	}
	source := func() netip.AddrPort {
		var b [64]byte
		if _, err := from.WriteToUDPAddrPort([]byte("more"), netip.MustParseAddrPort("198.18.0.2:4567")); err != nil {
			t.Fatal(err)
		}
		_, a, err := at.ReadFromUDPAddrPort(b[:])
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	first := source()
	for range 20 {
		w.node.sh("nft add chain inet podlane mine")
		w.node.apply(dual)
		if now := source(); now != first {
			t.Fatalf("after a rebuild the connection comes from %s, want %s as before", now, first)
		}
	}
}
