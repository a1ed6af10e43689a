package vxlan

import (
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/backend"
	"github.com/podlane/podlane/subnet"
)

// drawn is what others have in the kernel that may draw traffic away from our peers: all of it within the pod network,
// and none of it within our own pod subnet, where the bridge and the pods are.
type drawn struct {
	addrs  []otherAddr
	routes []tableRoute // of the main table
}

// otherAddr is an address of an interface that is not ours.
type otherAddr struct {
	addr netip.Prefix
	link int
}

// elsewhere tells whether a prefix reaches into the pod network beyond our own pod subnet.
func (p *pass) elsewhere(q netip.Prefix) bool {
	return p.network.IsValid() && p.network.Overlaps(q) && !covers(p.subnet, q)
}

func covers(p, q netip.Prefix) bool { return p.Bits() <= q.Bits() && p.Contains(q.Addr()) }

// victim is the peer's route that a prefix takes traffic from: all of it or, with a longer prefix, a part. The metric is
// that of a route with this prefix.
func victim(network, q netip.Prefix, metric uint32, routes map[routeKey]route) (key routeKey, found bool) {
	for bits := q.Bits(); bits >= network.Bits(); bits-- {
		p := netip.PrefixFrom(q.Addr(), bits).Masked()
		for _, base := range []uint32{metricDirect, metricTunnel} {
			key = routeKey{prefix: p, metric: base + index(network, p)}
			if _, stands := routes[key]; stands && (bits < q.Bits() || metric < key.metric) {
				return key, true
			}
		}
	}
	return routeKey{}, false
}

// notes are sentences, of which the first are kept.
type notes struct {
	list []string
	more int
}

// add keeps a sentence, or only counts it.
func (n *notes) add(text func() string) {
	if len(n.list) == backend.MaxNotes {
		n.more++
		return
	}
	n.list = append(n.list, text())
}

// all is the sentences that were kept, and where there were more, how many.
func (n *notes) all() []string {
	if n.more == 0 {
		return n.list
	}
	last := backend.MaxNotes - 1
	return append(n.list[:last:last], fmt.Sprintf("%d more addresses, routes and rules take traffic to peers", n.more+1))
}

// note says what draws traffic away.
func (p *pass) note(n *notes, peers []subnet.Lease) error {
	if p.name == "" {
		return nil
	}
	for _, a := range p.drawn.addrs {
		if key, found := victim(p.network, hostPrefix(a.addr.Addr()), 0, p.want.routes); found {
			n.add(func() string {
				text := addressText(a.addr, p.linkName(a.link))
				return fmt.Sprintf("%s takes traffic to peer %s; remove it: ip addr del %s",
					text, peerText(p.family, key.prefix, peers), strings.TrimPrefix(text, "address "))
			})
		}
	}
	for _, r := range p.drawn.routes {
		if key, found := p.drawnFrom(r); found {
			n.add(func() string {
				words := r.text(p.linkName(r.route.link))
				return fmt.Sprintf("route %s takes traffic to peer %s; remove it: %s route del %s",
					words, peerText(p.family, key.prefix, peers), ipCommand[p.family], words)
			})
		}
	}
	return p.noteRules(n)
}

// drawnFrom tells whether a route of the main table takes traffic from a peer, and from which. What the kernel made for an
// address that is noted itself does not count, nor what leads the same way as ours.
func (p *pass) drawnFrom(r tableRoute) (key routeKey, found bool) {
	metric := r.key.metric
	if r.key.tos != 0 { // preferred for packets of this type of service, whatever the metric
		metric = 0
	}
	same := r.route
	if same.link == p.index {
		same.link = ownDevice
	}
	if key, found = victim(p.network, r.key.prefix, metric, p.want.routes); !found || r.dead || same == p.want.routes[key] {
		return key, false
	}
	for _, a := range p.drawn.addrs {
		if r.protocol == unix.RTPROT_KERNEL && a.link == r.route.link && r.key.prefix.Contains(a.addr.Addr()) {
			return key, false
		}
	}
	return key, true
}

// peerText names a peer by its node, as far as it is known, and its pod subnet.
func peerText(f subnet.Family, p netip.Prefix, peers []subnet.Lease) string {
	for _, l := range peers {
		if l.Endpoint(f).Subnet == p && l.Node.Name != "" {
			return fmt.Sprintf("%s (%s)", l.Node.Name, p)
		}
	}
	return p.String()
}

var ipCommand = [len(subnet.Families)]string{subnet.IPv4: "ip", subnet.IPv6: "ip -6"}

// text is the route in an operator's words, behind "ip route".
func (r tableRoute) text(dev string) string {
	var b words
	if what := routeTypes[r.what]; what != "" {
		b = b.word(what)
	}
	b = b.prefix(r.key.prefix)
	if r.key.tos != 0 {
		b = b.word("tos").hex(r.key.tos)
	}
	if r.route.via.IsValid() {
		b = b.word("via").addr(r.route.via)
	}
	if r.route.link != 0 {
		b = b.word("dev").word(dev)
	}
	b = b.word("proto")
	if name := protocols[r.protocol]; name != "" {
		b = b.word(name)
	} else {
		b = b.number(uint64(r.protocol))
	}
	if r.key.metric != 0 {
		b = b.word("metric").number(uint64(r.key.metric))
	}
	return string(b)
}

var routeTypes = map[uint8]string{
	unix.RTN_BLACKHOLE: "blackhole", unix.RTN_UNREACHABLE: "unreachable", unix.RTN_PROHIBIT: "prohibit", unix.RTN_THROW: "throw",
}

// protocols are the owners of routes as ip calls them without a file of names.
var protocols = map[uint8]string{
	unix.RTPROT_KERNEL: "kernel", unix.RTPROT_BOOT: "boot", unix.RTPROT_STATIC: "static", unix.RTPROT_RA: "ra",
	unix.RTPROT_DHCP: "dhcp", unix.RTPROT_ZEBRA: "zebra", unix.RTPROT_BIRD: "bird", unix.RTPROT_BGP: "bgp",
}
