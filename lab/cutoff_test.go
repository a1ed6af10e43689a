package lab

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

func TestNodeCutOff(t *testing.T) {
	l := build(t, Options{Nodes: 3, IPv6: true})
	n, peer, third := l.Nodes[0], l.Nodes[1], l.Nodes[2]
	both := func(want bool) {
		t.Helper()
		for _, way := range []struct {
			from, to *Node
			want     bool
		}{{n, peer, want}, {peer, n, want}, {n, third, true}, {third, n, true}} {
			for _, a := range []netip.Addr{way.to.Addr, way.to.Addr6} {
				if got := arrives(t, way.from, way.to, a); got != way.want {
					t.Errorf("a packet from %s to %s arrives: %v, want %v", way.from.Name, a, got, way.want)
				}
			}
		}
	}
	both(true)
	heal, err := n.CutOff(peer.Addr, peer.Addr6)
	check(t, err)
	other, err := n.CutOff(l.Etcd.Addr(1))
	check(t, err)
	both(false)
	if _, err := n.Ping(within(t), l.Etcd.Addr(1), 1); err == nil {
		t.Error("etcd's address answers")
	}
	check(t, heal())
	both(true)
	check(t, other())
	check(t, other())
	if _, err := n.Ping(within(t), l.Etcd.Addr(1), 1); err != nil {
		t.Error(err)
	}
}

// arrives reports whether one packet from a node arrives at an address of another.
func arrives(t *testing.T, from, to *Node, addr netip.Addr) bool {
	t.Helper()
	var in net.PacketConn
	check(t, to.Do(func() (err error) {
		in, err = net.ListenPacket("udp", netip.AddrPortFrom(addr, 0).String())
		return err
	}))
	defer func() { _ = in.Close() }()
	check(t, from.Do(func() error {
		out, err := net.Dial("udp", in.LocalAddr().String())
		if err == nil {
			_, _ = out.Write([]byte("x")) // an error if this side filters it
			err = out.Close()
		}
		return err
	}))
	check(t, in.SetReadDeadline(time.Now().Add(200*time.Millisecond)))
	_, _, err := in.ReadFrom(make([]byte, 1))
	return err == nil
}
