package vxlan

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/backend"
	"github.com/podlane/podlane/subnet"
)

// Other programs' addresses and routes in the pod network may divert traffic to peers. Those in our own pod subnet do
// not: they belong to the bridge and the pods.

// otherAddr is an address on an interface other than our device.
type otherAddr struct {
	addr netip.Prefix
	link int
}

// hasRemotePods reports whether a prefix has addresses of pods outside our own pod subnet.
func (rec *reconciler) hasRemotePods(q netip.Prefix) bool {
	return slices.ContainsFunc(rec.pods, func(i subnet.Interval) bool { return i.Overlaps(q) }) && !subnet.Contains(rec.subnet, q)
}

// podPrefixes returns the addresses of the family's pods.
func (rec *reconciler) podPrefixes() (all []netip.Prefix) {
	for _, i := range rec.pods {
		if subnet.FamilyOf(i.First) == rec.family {
			all = append(all, i.Prefixes()...)
		}
	}
	return all
}

// podLinks returns the indexes of the interfaces that lead to this node's pods.
func (rec *reconciler) podLinks() map[int]bool {
	links := map[int]bool{}
	for _, a := range rec.otherAddrs {
		if rec.subnet.Contains(a.addr.Addr()) {
			links[a.link] = true
		}
	}
	return links
}

// divertedRoute returns the peer's route whose traffic a route with this prefix and metric diverts. A longer prefix
// diverts a part of it.
func divertedRoute(network, q netip.Prefix, metric uint32, routes map[routeKey]route) (key routeKey, found bool) {
	for bits := q.Bits(); bits >= network.Bits(); bits-- {
		p := netip.PrefixFrom(q.Addr(), bits).Masked()
		for _, base := range []uint32{metricDirect, metricTunnel} {
			key = routeKey{prefix: p, metric: base + subnetIndex(network, p)}
			if _, exists := routes[key]; exists && (bits < q.Bits() || metric < key.metric) {
				return key, true
			}
		}
	}
	return routeKey{}, false
}

// findDiversions finds addresses, routes and rules that divert traffic to peers.
func (rec *reconciler) findDiversions(f *findings, peers []subnet.Lease) {
	if rec.name == "" {
		return
	}
	rec.findAddrs(f, peers)
	rec.findRoutes(f, peers)
	rec.findRules(f)
}

// findAddrs finds addresses of peers' pods on this node. The kernel delivers packets for them locally.
func (rec *reconciler) findAddrs(f *findings, peers []subnet.Lease) {
	for _, a := range rec.otherAddrs {
		if !rec.hasRemotePods(hostPrefix(a.addr.Addr())) {
			continue
		}
		if key, found := divertedRoute(rec.network, hostPrefix(a.addr.Addr()), 0, rec.want.routes); found {
			f.problems.add(func() string {
				text := addressText(a.addr, rec.linkName(a.link))
				return fmt.Sprintf("%s diverts traffic to peer %s; remove it: ip addr del %s",
					text, peerText(rec.family, key.prefix, peers), strings.TrimPrefix(text, "address "))
			})
		}
	}
}

// findRoutes finds routes of the main table that divert traffic. It records the first ones. It reads interface names
// after the dump. A socket serves one request at a time. A route that drops packets is a problem. A route that leads
// elsewhere is a note.
func (rec *reconciler) findRoutes(f *findings, peers []subnet.Lease) {
	type diverting struct {
		route tableRoute
		from  netip.Prefix
	}
	var first []diverting
	more := 0
	err := eachRoute(rec.w.conn, rec.family, unix.RT_TABLE_MAIN, func(r tableRoute) {
		switch key, found := rec.divertedBy(r); {
		case found && len(first) < backend.MaxNotes:
			first = append(first, diverting{r, key.prefix})
		case found:
			more++
		}
	})
	if err != nil {
		f.notes.addUnreadable(fmt.Sprintf("which %s routes divert traffic to peers", rec.family), err)
	}
	for _, t := range first {
		to := &f.notes
		if t.route.drops() {
			to = &f.problems
		}
		to.add(func() string {
			words := t.route.text(rec.linkName(t.route.route.link))
			return fmt.Sprintf("route %s diverts traffic to peer %s; remove it: %s route del %s",
				words, peerText(rec.family, t.from, peers), ipCommand[rec.family], words)
		})
	}
	f.notes.more += more
}

// drops reports whether a route drops its packets.
func (r tableRoute) drops() bool {
	return r.routeType == unix.RTN_BLACKHOLE || r.routeType == unix.RTN_UNREACHABLE || r.routeType == unix.RTN_PROHIBIT
}

// divertedBy returns the peer's route from which a route of the main table diverts traffic. It ignores a route with the
// same next hop as ours. It also ignores a route that the kernel made for an address, because findAddrs reports the
// address.
func (rec *reconciler) divertedBy(r tableRoute) (key routeKey, found bool) {
	if r.protocol == protocol || r.dead || !rec.hasRemotePods(r.key.prefix) {
		return key, false
	}
	metric := r.key.metric
	if r.key.tos != 0 { // it wins for packets of this type of service, whatever its metric
		metric = 0
	}
	same := r.route
	if same.link == rec.index {
		same.link = ownDevice
	}
	if key, found = divertedRoute(rec.network, r.key.prefix, metric, rec.want.routes); !found || same == rec.want.routes[key] {
		return key, false
	}
	for _, a := range rec.otherAddrs {
		if r.protocol == unix.RTPROT_KERNEL && a.link == r.route.link && r.key.prefix.Contains(a.addr.Addr()) {
			return key, false
		}
	}
	return key, true
}

// peerText names a peer by its pod subnet, and by its node if that is known.
func peerText(f subnet.Family, p netip.Prefix, peers []subnet.Lease) string {
	for _, l := range peers {
		if l.Endpoint(f).Subnet == p && l.Node.Name != "" {
			return fmt.Sprintf("%s (%s)", l.Node.Name, p)
		}
	}
	return p.String()
}

var ipCommand = [len(subnet.Families)]string{subnet.IPv4: "ip", subnet.IPv6: "ip -6"}

// text returns the route in an operator's words, after "ip route".
func (r tableRoute) text(dev string) string {
	var b words
	if what := routeTypes[r.routeType]; what != "" {
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

// protocols holds the owners of routes, with the names that ip has built in.
var protocols = map[uint8]string{
	unix.RTPROT_KERNEL: "kernel", unix.RTPROT_BOOT: "boot", unix.RTPROT_STATIC: "static", unix.RTPROT_RA: "ra",
	unix.RTPROT_DHCP: "dhcp", unix.RTPROT_ZEBRA: "zebra", unix.RTPROT_BIRD: "bird", unix.RTPROT_BGP: "bgp",
}
