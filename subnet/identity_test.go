package subnet

import (
	"net/netip"
	"testing"
)

var me = Self{
	Node:       Node{ID: "id-1", Name: "n1", Version: "v2"},
	PublicIP:   addr("192.0.0.1"),
	PublicIPv6: addr("2001:db8::1"),
}

// stranger returns a lease without any of my marks.
func stranger() Record { return record(9, pair("10.5.9.0/24", "fd00:5:0:9::/64")) }

func TestAllThreeMarksMakeALeaseOurs(t *testing.T) {
	for _, c := range []struct {
		id, address, name bool
		count             int
	}{
		{false, false, false, 0}, {true, false, false, 1}, {false, true, false, 1}, {false, false, true, 1},
		{true, true, false, 2}, {true, false, true, 2}, {false, true, true, 2}, {true, true, true, 3},
	} {
		for _, f := range Families { // an address of either family counts
			l := stranger().Lease
			if c.id {
				l.Node.ID = me.Node.ID
			}
			if c.name {
				l.Node.Name = me.Node.Name
			}
			if c.address && f == IPv4 {
				l.IPv4.PublicIP = me.PublicIP
			} else if c.address {
				l.IPv6.PublicIP = me.PublicIPv6
			}
			if got := me.match(l); got != (match{c.id, c.address, c.name}) || got.count() != c.count {
				t.Errorf("%+v: %+v", c, got)
			}
			if me.Ours(l) != (c.count == 3) {
				t.Errorf("%+v: ours is %v", c, me.Ours(l))
			}
			if me.Concerns(l) != (c.count > 0) {
				t.Errorf("%+v: Concerns is %v", c, me.Concerns(l))
			}
		}
	}
}

func TestAbsentMarksMatchNothing(t *testing.T) {
	empty := Self{}
	if m := empty.match(Lease{}); m.count() != 0 {
		t.Errorf("an empty lease matches an empty node by %s", m)
	}
	if empty.Ours(Lease{}) {
		t.Error("an empty lease is an empty node's own")
	}
	if empty.Concerns(Lease{}) {
		t.Error("an empty lease concerns an empty node")
	}
}

func TestFlannelLeaseIsOursByAddress(t *testing.T) {
	l := stranger().Lease
	l.Node = Node{}
	if me.Ours(l) {
		t.Error("a flannel lease with another address is ours")
	}
	l.IPv4.PublicIP = me.PublicIP
	if !me.Ours(l) {
		t.Error("a flannel lease with our address is not ours")
	}
	l.Node = Node{Version: "v1"} // podlane wrote it
	if me.Ours(l) {
		t.Error("a podlane lease is ours only by its address")
	}
}

func TestLeaseOfThisNode(t *testing.T) {
	n := network(t, `{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:5::/48","Backend":{"VNI":7}}`)
	p := pair("10.5.34.0/24", "fd00:5:0:22::/64")
	fresh := me.Lease(n, p, Lease{})
	want := Lease{
		IPv4:        Endpoint{p.IPv4, me.PublicIP, 7, MACFor(p.IPv4)},
		IPv6:        Endpoint{p.IPv6, me.PublicIPv6, 7, MACFor(p.IPv6)},
		BackendType: "vxlan",
		Node:        me.Node,
	}
	if d := diff(want, fresh); d != "" {
		t.Errorf("new lease (-want +got):\n%s", d)
	}
	// A lease that was taken over keeps the MACs of unchanged halves, and nothing else.
	old := fresh
	old.IPv4.MAC, old.IPv6.MAC, old.IPv4.VNI, old.Node, old.BackendType = flannelMAC, flannelMAC, 1, Node{}, "host-gw"
	old.IPv6.Subnet = prefix("fd00:5:0:23::/64")
	want.IPv4.MAC = flannelMAC
	if d := diff(want, me.Lease(n, p, old)); d != "" {
		t.Errorf("lease that was taken over (-want +got):\n%s", d)
	}
	old.IPv4.MAC = MAC{}
	want.IPv4.MAC = MACFor(p.IPv4)
	if d := diff(want, me.Lease(n, p, old)); d != "" {
		t.Errorf("lease without a MAC that was taken over (-want +got):\n%s", d)
	}
	// Without an IPv6 half the lease keeps the IPv6 address, because it identifies the node.
	want = fresh
	want.IPv6 = Endpoint{PublicIP: me.PublicIPv6}
	half := me.Lease(n, p.With(IPv6, netip.Prefix{}), Lease{})
	if d := diff(want, half); d != "" {
		t.Errorf("lease without an IPv6 half (-want +got):\n%s", d)
	}
	back, err := ParseLease(half.Pair().Key(), half.Value())
	if err != nil {
		t.Fatal(err)
	}
	if d := diff(half, back); d != "" {
		t.Errorf("parsed lease (-want +got):\n%s", d)
	}
}
