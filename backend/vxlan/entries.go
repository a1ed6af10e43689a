package vxlan

import (
	"bytes"
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/podlane/podlane/backend"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/underlay"
)

// blocking is what must go before the rest is written, because the kernel would take it for ours, or not replace it.
type blocking struct {
	routes []stray
	fdb    []subnet.MAC
}

// writeEntries gathers what makes the kernel's neighbours, FDB entries and routes those wanted. A peer is added from
// the neighbour to the route and removed from the route to the neighbour, so that no packet meets a route whose
// neighbour is missing; what is added comes first, so that a peer that moves is never without a route.
func (p *pass) writeEntries(blocked blocking) {
	for _, s := range blocked.routes {
		p.deleteRoute(s.key, s.route, p.verified)
	}
	for _, mac := range blocked.fdb {
		p.deleteFDB(mac, netip.Addr{}, p.verified)
	}
	oldNeighbours, neighbours := backend.Changes(p.have.neighbours, p.want.neighbours, netip.Addr.Compare)
	oldFDB, fdb := backend.Changes(p.have.fdb, p.want.fdb, compareMAC)
	oldRoutes, routes := backend.Changes(p.have.routes, p.want.routes, compareRoute)
	if p.family == subnet.IPv6 {
		oldRoutes = p.clearTheWay(oldRoutes, routes)
	}
	p.w.grow(len(neighbours) + len(fdb) + len(routes) + len(oldNeighbours) + len(oldFDB) + len(oldRoutes))
	for _, n := range neighbours {
		p.putNeighbour(n)
	}
	for _, e := range fdb {
		p.putFDB(e)
	}
	for _, r := range routes {
		p.putRoute(r)
	}
	for _, k := range oldRoutes {
		p.deleteRoute(k, p.have.routes[k], p.routeAppeared(k))
	}
	for _, mac := range oldFDB {
		_, stood := p.before.fdb[mac]
		p.deleteFDB(mac, p.have.fdb[mac], p.verified && !stood)
	}
	for _, a := range oldNeighbours {
		p.deleteNeighbour(a)
	}
}

// clearTheWay removes old and changed routes that lead past our device, and returns the old ones that are left. Linux
// refuses an IPv6 route whose gateway, onlink or not, it would reach through another device at that moment
// (ip6_route_check_nh_onlink): a peer that was routed directly and no longer is, would keep its old route in the way of
// the new.
func (p *pass) clearTheWay(old []routeKey, changed []backend.Put[routeKey, route]) (left []routeKey) {
	ours := func(r route) bool { return r.via.IsValid() && r.link == ownDevice }
	for _, k := range old {
		if r := p.have.routes[k]; ours(r) {
			left = append(left, k)
		} else {
			p.deleteRoute(k, r, p.routeAppeared(k))
		}
	}
	for _, c := range changed {
		if r := p.have.routes[c.Key]; c.Replace && !ours(r) {
			p.deleteRoute(c.Key, r, p.verified && p.before.routes[c.Key] == c.Value)
		}
	}
	return left
}

// routeAppeared tells whether a route that is not wanted was put there since the last pass.
func (p *pass) routeAppeared(k routeKey) bool {
	_, stood := p.before.routes[k]
	return p.verified && !stood
}

// A write is drift where the last pass left the entry as it should be now: it is written again, or removed again. An
// entry that could not be written is no longer wanted of this pass.

func (p *pass) putNeighbour(n backend.Put[netip.Addr, subnet.MAC]) {
	known, verified := p.before.neighbours[n.Key]
	text := neighbourText(n.Key, n.Value, p.name)
	if p.w.add(putVerb(n.Replace), "neighbour", text, verified && known == n.Value) {
		putNeighbour(&p.w.batch, p.index, n.Key, n.Value)
		return
	}
	delete(p.want.neighbours, n.Key)
}

func (p *pass) deleteNeighbour(a netip.Addr) {
	_, verified := p.before.neighbours[a]
	if p.w.add("delete", "neighbour", neighbourText(a, p.have.neighbours[a], p.name), p.verified && !verified) {
		deleteNeighbour(&p.w.batch, p.index, a)
	}
}

func (p *pass) putFDB(e backend.Put[subnet.MAC, netip.Addr]) {
	known, verified := p.before.fdb[e.Key]
	if p.w.add(putVerb(e.Replace), "fdb", fdbText(e.Key, e.Value, p.name), verified && known == e.Value) {
		putFDB(&p.w.batch, p.index, e.Key, e.Value, 0)
		return
	}
	delete(p.want.fdb, e.Key)
}

// setFDB writes the FDB entries again, with an interface by which they lead to the peers; none is as they should be. The
// kernel keeps with each entry the route that it looked up last, source address included, and uses it for as long as
// the route stands, though the device's local address is another by now; it forgets that where the entry changes (dst_cache
// in vxlan_fdb_replace, Linux 4.6). Peers would drop what comes from an address that is no peer's any more.
func (p *pass) setFDB(by underlay.Interface) {
	for _, mac := range slices.SortedFunc(maps.Keys(p.want.fdb), compareMAC) {
		dst := p.want.fdb[mac]
		text := fdbText(mac, dst, p.name)
		if by.Index != 0 {
			text += " via " + by.Name
		}
		if p.w.add("set", "fdb", text, false) {
			putFDB(&p.w.batch, p.index, mac, dst, by.Index)
		}
	}
}

func (p *pass) deleteFDB(mac subnet.MAC, dst netip.Addr, drift bool) {
	if p.w.add("delete", "fdb", fdbText(mac, dst, p.name), drift) {
		deleteFDB(&p.w.batch, p.index, mac)
	}
}

func (p *pass) putRoute(r backend.Put[routeKey, route]) {
	known, verified := p.before.routes[r.Key]
	text := routeText(r.Key, r.Value, p.linkName(r.Value.link))
	if p.w.add(putVerb(r.Replace), "route", text, verified && known == r.Value) {
		putRoute(&p.w.batch, r.Key, r.Value, p.linkIndex(r.Value.link))
		return
	}
	delete(p.want.routes, r.Key)
}

func (p *pass) deleteRoute(k routeKey, r route, drift bool) {
	if p.w.add("delete", "route", routeText(k, r, p.linkName(r.link)), drift) {
		deleteRoute(&p.w.batch, k, r, p.linkIndex(r.link))
	}
}

func putVerb(replace bool) string {
	if replace {
		return "replace"
	}
	return "add"
}

func compareMAC(a, b subnet.MAC) int { return bytes.Compare(a[:], b[:]) }

func compareRoute(a, b routeKey) int {
	return cmp.Or(a.prefix.Compare(b.prefix), cmp.Compare(a.metric, b.metric), cmp.Compare(a.tos, b.tos))
}
