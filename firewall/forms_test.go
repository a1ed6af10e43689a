package firewall

import (
	"encoding/binary"
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/nft"
	"github.com/podlane/podlane/subnet"
)

// tableForm is a form of podlane's table: with or without early rules. rules returns the Rules that yield this form on a node of
// wires.
type tableForm struct {
	name  string
	rules func(n *node, r Rules) Rules
}

var (
	general = tableForm{"general rules", func(_ *node, r Rules) Rules { return r }}
	early   = tableForm{"early rules", (*node).withFacts}
	forms   = []tableForm{general, early}
)

// chains returns the names in the form with early rules, and none in the other form. It omits empty names. Callers name the
// chains whose early rules accept a packet.
func (form tableForm) chains(names ...string) []string {
	if form.name == general.name {
		return nil
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == "" })
}

// inForms runs a test in both forms of the table.
func (w wires) inForms(t *testing.T, run func(t *testing.T, form tableForm)) {
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			w.in(t)
			run(t, form)
		})
	}
}

// farSubnets are the pod subnets of the only peer in wires.
var farSubnets = []netip.Prefix{
	netip.MustParsePrefix("10.5.77.0/24"), netip.MustParsePrefix("10.5.99.0/24"),
	netip.MustParsePrefix("fd00:5:0:4d::/64"), netip.MustParsePrefix("fd00:5:0:63::/64"),
}

// withFacts adds the facts about the node that Rules lack, as the daemon reads them.
func (n *node) withFacts(r Rules) Rules {
	n.Helper()
	if names := slices.Compact(slices.Clone(r.PodInterfaces)); len(names) == 1 && r.Bridge.Name == "" {
		r.Bridge = n.bridge(names[0])
	}
	if r.Underlay.Name == "" {
		r.Underlay, r.OnlyWay = n.named("eth0"), n.named("eth1").Index == 0
	}
	if r.Overlay == ([len(subnet.Families)]Interface{}) {
		r.Overlay = [...]Interface{subnet.IPv4: n.named("vxlan1"), subnet.IPv6: n.named("vxlan1-v6")}
	}
	if r.Addrs == nil {
		r.Addrs = []netip.Addr{netip.MustParseAddr(nodeAt[subnet.IPv4]), netip.MustParseAddr(nodeAt[subnet.IPv6])}
	}
	if r.PeerSubnets == nil && len(r.Peers) > 0 {
		r.PeerSubnets = farSubnets
	}
	return r
}

// named returns an interface with its index, which is 0 if it does not exist.
func (n *node) named(name string) Interface {
	n.Helper()
	link, err := here(n.ns, func() (netlink.Link, error) { return netlink.LinkByName(name) })
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return Interface{Name: name}
	}
	if err != nil {
		n.Fatal(err)
	}
	return Interface{name, link.Attrs().Index}
}

// bridge returns an interface with its addresses, or the zero value if it does not exist.
func (n *node) bridge(name string) Bridge {
	n.Helper()
	b := Bridge{Interface: n.named(name)}
	if b.Index == 0 {
		return Bridge{}
	}
	for _, a := range n.addrs(name) {
		b.Addrs = append(b.Addrs, netip.MustParsePrefix(a.String()))
	}
	return b
}

// isEarly reports whether a rule is an early rule. In these chains, no other rules accept.
func isEarly(chain string, r nft.Rule) bool {
	verdict, ok := r.Exprs[len(r.Exprs)-1].(*expr.Verdict)
	return ok && verdict.Kind == expr.VerdictAccept &&
		slices.Contains([]string{"from_pods", "from_tunnel4", "from_tunnel6", "from_underlay", vxlanToPort}, chain)
}

// usedChains returns for each early chain whether packets are sent to it.
func usedChains(r Rules) map[string]bool {
	used := map[string]bool{}
	for _, e := range earlyChains(r.normalized()) {
		used[e.Name] = e.used()
	}
	return used
}

// countEarly installs r's table with a counter in each early rule. The returned function returns how many packets these have
// accepted, by chain.
func (n *node) countEarly(r Rules) func() map[string]uint64 {
	n.Helper()
	n.apply(r)
	table := buildTable(r.normalized())
	for i, c := range table.Chains {
		table.Chains[i].Rules = slices.Clone(c.Rules)
		for j, rule := range c.Rules {
			if isEarly(c.Name, rule) {
				table.Chains[i].Rules[j].Exprs = slices.Insert(slices.Clone(rule.Exprs), len(rule.Exprs)-1, counter().exprs...)
			}
		}
	}
	if err := n.ns.Do(func() error {
		have, err := read(knownSets{})
		if err != nil {
			return err
		}
		return nft.Commit(table.Plan(have.own))
	}); err != nil {
		n.Fatal(err)
	}
	return func() map[string]uint64 {
		n.Helper()
		have, err := here(n.ns, func() (snapshot, error) { return read(knownSets{}) })
		if err != nil {
			n.Fatal(err)
		}
		counts := map[string]uint64{}
		for _, rule := range have.own.Rules {
			if c, ok := rule.Counter(); ok && rule.Comment() == "" {
				counts[rule.Chain] += c.Packets
			}
		}
		return counts
	}
}

// passesBy checks that all packets arrive. The early rules of exactly these chains must accept them.
func (n *node) passesBy(r Rules, send sender, at arrivals, chains ...string) {
	n.Helper()
	counts := n.countEarly(r)
	before := counts()
	passes(n.T, send, at)
	var by []string
	for chain, count := range counts() {
		if count-before[chain] >= few { // a few more may be neighbour discovery
			by = append(by, chain)
		}
	}
	slices.Sort(by)
	if slices.Sort(chains); !slices.Equal(by, chains) {
		n.Errorf("the early rules of %v accepted the packets, want those of %v", by, chains)
	}
}

// fromTunnel returns a sender of UDP packets that arrive at a node through the tunnel from its peer. to is an address and a port.
func (w overlayWires) fromTunnel(f int, from, to string) sender {
	w.node.Helper()
	return w.fromTunnelWith(f, from, to, []byte("hello"))
}

func (w overlayWires) fromTunnelWith(f int, from, to string, payload []byte) sender {
	w.node.Helper()
	device, err := here(w.node.ns, func() (*net.Interface, error) {
		return net.InterfaceByName([...]string{"vxlan1", "vxlan1-v6"}[f])
	})
	if err != nil {
		w.node.Fatal(err)
	}
	target := netip.MustParseAddrPort(to)
	packet := ipPacket(netip.MustParseAddr(from), target.Addr(), target.Port(), payload)
	frame := append(slices.Clone(device.HardwareAddr), 2, 0, 0, 0, 0, 0x77)
	frame = binary.BigEndian.AppendUint16(frame, [...]uint16{unix.ETH_P_IP, unix.ETH_P_IPV6}[f])
	header := []byte{0x08, 0, 0, 0, 0, 0, 1, 0} // RFC 7348 section 5
	return w.outside.sends(peerAt[f], to8472(nodeAt[f]), slices.Concat(header, frame, packet))
}

// ipPacket returns an IP packet with a UDP packet (RFC 791 section 3.1, RFC 8200 section 3).
func ipPacket(from, to netip.Addr, port uint16, payload []byte) []byte {
	udp := udpPacket(from, to, port, payload)
	if from.Is6() {
		header := []byte{0x60, 0, 0, 0, 0, byte(len(udp)), unix.IPPROTO_UDP, 64}
		return slices.Concat(header, from.AsSlice(), to.AsSlice(), udp)
	}
	header := slices.Concat([]byte{0x45, 0, 0, byte(20 + len(udp)), 0, 0, 0, 0, 64, unix.IPPROTO_UDP, 0, 0}, from.AsSlice(), to.AsSlice())
	binary.BigEndian.PutUint16(header[10:], checksum(header))
	return append(header, udp...)
}

// One form has early rules in all their chains, and the other has none.
func TestFormsHaveTheirRules(t *testing.T) {
	w := newOverlayWires(t)
	chains := func(r Rules) (names []string) {
		found, used := map[string]bool{}, usedChains(r)
		for _, c := range buildTable(r.normalized()).Chains {
			for _, rule := range c.Rules {
				if isEarly(c.Name, rule) && (used[c.Name] || c.Name == vxlanToPort) {
					found[c.Name] = true
				}
			}
		}
		return slices.Sorted(maps.Keys(found))
	}
	if got := chains(general.rules(w.node, dual)); len(got) > 0 {
		t.Errorf("the general form has early rules in %v", got)
	}
	want := []string{"from_pods", "from_tunnel4", "from_tunnel6", "from_underlay", "vxlan_to_port"}
	if got := chains(early.rules(w.node, dual)); !slices.Equal(got, want) {
		t.Errorf("the early form has early rules in %v, want %v", got, want)
	}
}
