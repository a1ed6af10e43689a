package firewall

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/nft"
	"github.com/podlane/podlane/subnet"
)

// A note names a peer whose VXLAN arrives on a wrong interface, and that interface. Other hosts get no note.
func TestPeerArrivesOnAWrongInterface(t *testing.T) {
	w := newOverlayWires(t)
	rules := podsUnknown
	rules.Peers = append(slices.Clone(rules.Peers), netip.MustParseAddr(nowhereAt[subnet.IPv6]))
	w.node.apply(rules)
	count := uint64(0)
	for _, c := range []struct {
		from   *node
		as, to string
		note   string
	}{
		{w.pod, strangerAt[subnet.IPv4], nodeAt[subnet.IPv4], ""},
		{w.pod, peerAt[subnet.IPv4], nodeAt[subnet.IPv4], "VXLAN from peer 198.18.0.2 arrives on pod0, but this node answers that peer on another interface: it is dropped (vxlan_from_a_wrong_interface); to answer it there, run: ip route replace 198.18.0.2 dev pod0 (add"},
		{w.outside, nowhereAt[subnet.IPv6], nodeAt[subnet.IPv6], "VXLAN from peer 2001:db8:7::7 arrives on eth0"},
	} {
		w.in(t)
		send := c.from.sends(c.as, to8472(c.to), vxlan(1))
		send(few)
		count += few
		within(t, "it is not dropped", func() bool {
			w.node.apply(rules)
			return w.node.Dropped()["vxlan_from_a_wrong_interface"] == count
		})
		if got := strings.Join(w.node.Advice(), "\n"); !strings.Contains(got, c.note) || c.note == "" && got != "" {
			t.Errorf("got notes:\n%s\nwant %q", got, c.note)
		}
		w.node.quiet(rules)
	}
	w.node.apply(dual)
	if got := w.node.sh("nft list set inet podlane vxlan_wrong_iface4; nft list set inet podlane vxlan_wrong_iface6"); strings.Contains(got, "elements") {
		t.Errorf("the peers changed, but the kernel still has elements:\n%s", got)
	}
	if got := strings.Join(w.node.Advice(), "\n"); strings.Contains(got, nowhereAt[subnet.IPv6]) {
		t.Errorf("it is not a peer any more, but there is a note:\n%s", got)
	}
}

// The set is bounded. A packet that it has no room for is dropped too.
func TestManyPeersArriveOnAWrongInterface(t *testing.T) {
	w := newOverlayWires(t)
	rules := podsUnknown
	rules.Peers = nil
	for i := range byte(2 * maxWrongArrivals) {
		rules.Peers = append(rules.Peers, netip.AddrFrom4([4]byte{198, 18, 0, 100 + i}))
	}
	w.node.apply(rules)
	before := w.ours[subnet.IPv4]()
	for _, peer := range rules.Peers {
		w.pod.sends(peer.String(), to8472(nodeAt[subnet.IPv4]), vxlan(1))(1)
	}
	within(t, "they are not dropped", func() bool {
		w.node.apply(rules)
		return w.node.Dropped()["vxlan_from_a_wrong_interface"] == 2*maxWrongArrivals
	})
	if got := strings.Count(w.node.sh("nft list set inet podlane vxlan_wrong_iface4"), "pod0"); got != maxWrongArrivals {
		t.Errorf("the set has %d elements, want %d", got, maxWrongArrivals)
	}
	if got := w.node.Advice(); len(got) != maxWrongArrivalNotes+1 || got[maxWrongArrivalNotes] != "VXLAN from 56 more peers arrives on a wrong interface" {
		t.Errorf("notes:\n%s", strings.Join(got, "\n"))
	}
	if got := w.ours[subnet.IPv4]() - before; got != 0 {
		t.Errorf("%d packets arrived, want none", got)
	}
	w.node.quiet(rules)
}

func TestWrongArrivalsExpire(t *testing.T) {
	key := func(addr, name string) nft.Element {
		a := netip.MustParseAddr(addr)
		return nft.Element{Key: string(a.AsSlice()) + nft.InterfaceElement(name).Key}
	}
	m, now := wrongArrivals{}, time.Now()
	m.record(snapshot{own: nft.Installed{Sets: []nft.KernelSet{
		{Name: "vxlan_wrong_iface4", Elements: []nft.Element{key("198.18.0.2", "eth1"), {Key: "x"}}},
		{Name: "vxlan_wrong_iface6", Elements: []nft.Element{key("2001:db8::2", "cni0")}},
	}}}, now)
	m.record(snapshot{}, now.Add(wrongArrivalNoteFor))
	if got := m.notes(attached); len(got) != 1 || !strings.HasPrefix(got[0], "VXLAN from peer 198.18.0.2 arrives on eth1") {
		t.Errorf("got notes %q, want one about 198.18.0.2 on eth1", got)
	}
	m.record(snapshot{}, now.Add(wrongArrivalNoteFor+1))
	if len(m) > 0 {
		t.Errorf("after the time of the note there are still %v", m)
	}
}

// The table of an earlier podlaned, which has no such set, is replaced in one step.
func TestUpgradeFromATableWithoutWrongInterfaceSets(t *testing.T) {
	n := newNode(t, "node")
	n.apply(dual)
	n.sh(`nft flush chain inet podlane vxlan_arrives; nft flush chain inet podlane vxlan_wrong_iface; nft delete chain inet podlane vxlan_wrong_iface
nft delete set inet podlane vxlan_wrong_iface4; nft delete set inet podlane vxlan_wrong_iface6
nft add rule inet podlane vxlan_arrives meta nfproto ipv4 fib saddr . iif oif missing counter drop comment vxlan_from_a_wrong_interface`)
	n.Firewall = Firewall{}
	if ops := words(n.apply(dual)); strings.Contains(ops, "drift") {
		t.Errorf("an upgrade is reported as drift:\n%s", ops)
	}
	equal(t, "table", n.sh(list), golden)
	n.quiet(dual)
}

// Another interface may lead to a peer. Then the route decides also for VXLAN on the underlay: the early rule looks it up.
func TestRouteToAPeerLeadsElsewhere(t *testing.T) {
	w := newOverlayWires(t)
	w.node.sh("ip link add eth1 type bridge; ip link set eth1 up")
	rules := w.node.withFacts(dual)
	if rules.OnlyWay {
		t.Fatal("eth1 is another way")
	}
	f := subnet.IPv4
	send := w.outside.sends(peerAt[f], to8472(nodeAt[f]), vxlan(1))
	w.node.passesBy(rules, send, w.ours[f], "from_underlay", vxlanToPort)
	w.node.sh("ip route add 198.18.0.2/32 dev eth1")
	w.node.drops(rules, "vxlan_from_a_wrong_interface", send, w.ours[f])
	const note = "VXLAN from peer 198.18.0.2 arrives on eth0, but this node answers that peer on another interface"
	within(t, "there is no note", func() bool {
		w.node.apply(rules)
		return strings.Contains(strings.Join(w.node.Advice(), "\n"), note)
	})
}
