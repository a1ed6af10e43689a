package firewall

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// arrivals returns how many packets a receiver has received.
type arrivals func() uint64

// tunnel creates a VXLAN device at port 8472, and counts the packets that it receives.
func (n *node) tunnel(vni int, local string) arrivals {
	n.Helper()
	name := fmt.Sprintf("vxlan%d", vni)
	if netip.MustParseAddr(local).Is6() {
		name += "-v6"
	}
	n.sh(fmt.Sprintf("ip link add %s type vxlan id %d dstport 8472 local %s nolearning; ip link set %[1]s up", name, vni, local))
	return func() uint64 {
		link, err := here(n.ns, func() (netlink.Link, error) { return netlink.LinkByName(name) })
		if err != nil {
			n.Fatal(err)
		}
		return link.Attrs().Statistics.RxPackets
	}
}

// socket opens a UDP socket and counts what it receives.
func (n *node) socket(addr string) arrivals {
	n.Helper()
	c := n.listen(addr)
	var count atomic.Uint64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b := make([]byte, 64); ; count.Add(1) {
			if _, err := c.Read(b); err != nil {
				return // closed
			}
		}
	}()
	n.Cleanup(func() {
		_ = c.Close()
		<-done
	})
	return count.Load
}

// sender sends a number of packets.
type sender func(count int)

// sends returns a sender of UDP packets. The source need not be an address of the namespace.
func (n *node) sends(from, to string, payload []byte) sender {
	n.Helper()
	anySource := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		level, option := unix.IPPROTO_IP, unix.IP_TRANSPARENT
		if netip.MustParseAddr(from).Is6() {
			level, option = unix.IPPROTO_IPV6, unix.IPV6_TRANSPARENT
		}
		controlErr := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, option, 1) })
		return errors.Join(controlErr, err)
	}}
	c, err := here(n.ns, func() (net.PacketConn, error) {
		return anySource.ListenPacket(n.Context(), "udp", net.JoinHostPort(from, "0"))
	})
	if err != nil {
		n.Fatal(err)
	}
	n.Cleanup(func() { _ = c.Close() })
	return func(count int) {
		for range count {
			if _, err := c.WriteTo(payload, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(to))); err != nil {
				n.Fatal(err)
			}
		}
	}
}

// vxlan returns a VXLAN header (RFC 7348 section 5) with a broadcast frame of an unknown protocol.
func vxlan(vni byte) []byte {
	header := []byte{0x08, 0, 0, 0, 0, 0, vni, 0}
	frame := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 0x77, 0x88, 0xb5}
	return append(append(header, frame...), make([]byte, 46)...)
}

// within waits until a condition holds.
func within(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(5 * time.Second); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

// few is how many packets are sent at once. Every queue on the way has room for them.
const few = 10

// passes checks that all packets arrive.
func passes(t *testing.T, send sender, at arrivals) {
	t.Helper()
	before := at()
	send(few)
	within(t, "it does not arrive", func() bool { return at() >= before+few })
	if got := at() - before; got != few {
		t.Errorf("%d packets arrived of %d", got, few)
	}
}

// drops checks that no packet arrives, and that all are counted for this reason and no other.
func (n *node) drops(r Rules, reason string, send sender, at arrivals) {
	n.Helper()
	n.apply(r)
	was, before := n.Dropped(), at()
	if before == 0 {
		n.Fatal("nothing has arrived before: the packets may be lost for another reason")
	}
	send(few)
	within(n.T, fmt.Sprintf("it is not counted as %s", reason), func() bool {
		n.apply(r)
		return n.Dropped()[reason] >= was[reason]+few
	})
	for word, count := range n.Dropped() {
		want := uint64(0)
		if word == reason {
			want = few
		}
		if count-was[word] != want {
			n.Errorf("%s: %d packets, want %d", word, count-was[word], want)
		}
	}
	if got := at() - before; got != 0 {
		n.Errorf("%d packets arrived", got)
	}
}

// index returns an interface's index. As the zone of an address it is valid in every namespace, unlike a name.
func (n *node) index(name string) int {
	n.Helper()
	i, err := here(n.ns, func() (*net.Interface, error) { return net.InterfaceByName(name) })
	if err != nil {
		n.Fatal(err)
	}
	return i.Index
}

// addrs returns an interface's addresses.
func (n *node) addrs(name string) []net.Addr {
	n.Helper()
	addrs, err := here(n.ns, func() ([]net.Addr, error) {
		i, err := net.InterfaceByName(name)
		if err != nil {
			return nil, err
		}
		return i.Addrs()
	})
	if err != nil {
		n.Fatal(err)
	}
	return addrs
}

// linkLocal returns an interface's IPv6 link-local address.
func (n *node) linkLocal(name string) string {
	n.Helper()
	for _, a := range n.addrs(name) {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.IsLinkLocalUnicast() {
			return ip.IP.String()
		}
	}
	n.Fatalf("%s has no link-local address", name)
	return ""
}
