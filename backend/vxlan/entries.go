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

// conflicts is what must go before the rest is written, because the kernel would take it for ours, or not replace it.
type conflicts struct {
	routes []duplicate
	fdb    []subnet.MAC
}

// writeEntries gathers what makes the kernel's neighbours, FDB entries and routes those wanted. A peer is added from
// the neighbour to the route and removed from the route to the neighbour, so that no packet meets a route whose
// neighbour is missing; what is added comes first, so that a peer that moves is never without a route.
func (rec *reconciler) writeEntries(blocked conflicts) {
	for _, s := range blocked.routes {
		rec.deleteRoute(s.key, s.route, rec.verified)
	}
	for _, mac := range blocked.fdb {
		rec.deleteFDB(mac, netip.Addr{}, rec.verified)
	}
	oldNeighbours, neighbours := backend.Changes(rec.have.neighbours, rec.want.neighbours, netip.Addr.Compare)
	oldFDB, fdb := backend.Changes(rec.have.fdb, rec.want.fdb, compareMAC)
	oldRoutes, routes := backend.Changes(rec.have.routes, rec.want.routes, compareRoute)
	if rec.family == subnet.IPv6 {
		oldRoutes = rec.deleteConflictingRoutes(oldRoutes, routes)
	}
	rec.w.grow(len(neighbours) + len(fdb) + len(routes) + len(oldNeighbours) + len(oldFDB) + len(oldRoutes))
	for _, n := range neighbours {
		rec.putNeighbour(n)
	}
	for _, e := range fdb {
		rec.putFDB(e)
	}
	for _, r := range routes {
		rec.putRoute(r)
	}
	for _, k := range oldRoutes {
		rec.deleteRoute(k, rec.have.routes[k], rec.routeAppeared(k))
	}
	for _, mac := range oldFDB {
		_, stood := rec.before.fdb[mac]
		rec.deleteFDB(mac, rec.have.fdb[mac], rec.verified && !stood)
	}
	for _, a := range oldNeighbours {
		rec.deleteNeighbour(a)
	}
}

// deleteConflictingRoutes removes old and changed routes that lead past our device, and returns the old ones that are left. Linux
// refuses an IPv6 route whose gateway, onlink or not, it would reach through another device at that moment
// (ip6_route_check_nh_onlink): a peer that was routed directly and no longer is, would keep its old route in the way of
// the new.
func (rec *reconciler) deleteConflictingRoutes(old []routeKey, changed []backend.Put[routeKey, route]) (left []routeKey) {
	ours := func(r route) bool { return r.via.IsValid() && r.link == ownDevice }
	for _, k := range old {
		if r := rec.have.routes[k]; ours(r) {
			left = append(left, k)
		} else {
			rec.deleteRoute(k, r, rec.routeAppeared(k))
		}
	}
	for _, c := range changed {
		if r := rec.have.routes[c.Key]; c.Replace && !ours(r) {
			rec.deleteRoute(c.Key, r, rec.verified && rec.before.routes[c.Key] == c.Value)
		}
	}
	return left
}

// routeAppeared tells whether a route that is not wanted was put there since the last pass.
func (rec *reconciler) routeAppeared(k routeKey) bool {
	_, stood := rec.before.routes[k]
	return rec.verified && !stood
}

// A write is drift where the last pass left the entry as it should be now: it is written again, or removed again. An
// entry that could not be written is no longer wanted of this pass.

func (rec *reconciler) putNeighbour(n backend.Put[netip.Addr, subnet.MAC]) {
	known, verified := rec.before.neighbours[n.Key]
	text := neighbourText(n.Key, n.Value, rec.name)
	if rec.w.add(putVerb(n.Replace), "neighbour", text, verified && known == n.Value) {
		putNeighbour(&rec.w.batch, rec.index, n.Key, n.Value)
		return
	}
	delete(rec.want.neighbours, n.Key)
}

func (rec *reconciler) deleteNeighbour(a netip.Addr) {
	_, verified := rec.before.neighbours[a]
	if rec.w.add("delete", "neighbour", neighbourText(a, rec.have.neighbours[a], rec.name), rec.verified && !verified) {
		deleteNeighbour(&rec.w.batch, rec.index, a)
	}
}

func (rec *reconciler) putFDB(e backend.Put[subnet.MAC, netip.Addr]) {
	known, verified := rec.before.fdb[e.Key]
	if rec.w.add(putVerb(e.Replace), "fdb", fdbText(e.Key, e.Value, rec.name), verified && known == e.Value) {
		putFDB(&rec.w.batch, rec.index, e.Key, e.Value, 0)
		return
	}
	delete(rec.want.fdb, e.Key)
}

// rewriteFDB writes the FDB entries again, with an interface by which they lead to the peers; none is as they should be. The
// kernel keeps with each entry the route that it looked up last, source address included, and uses it for as long as
// the route stands, though the device's local address is another by now; it forgets that where the entry changes (dst_cache
// in vxlan_fdb_replace, Linux 4.6). Peers would drop what comes from an address that is no peer's any more.
func (rec *reconciler) rewriteFDB(by underlay.Interface) {
	for _, mac := range slices.SortedFunc(maps.Keys(rec.want.fdb), compareMAC) {
		dst := rec.want.fdb[mac]
		text := fdbText(mac, dst, rec.name)
		if by.Index != 0 {
			text += " via " + by.Name
		}
		if rec.w.add("set", "fdb", text, false) {
			putFDB(&rec.w.batch, rec.index, mac, dst, by.Index)
		}
	}
}

func (rec *reconciler) deleteFDB(mac subnet.MAC, dst netip.Addr, drift bool) {
	if rec.w.add("delete", "fdb", fdbText(mac, dst, rec.name), drift) {
		deleteFDB(&rec.w.batch, rec.index, mac)
	}
}

func (rec *reconciler) putRoute(r backend.Put[routeKey, route]) {
	known, verified := rec.before.routes[r.Key]
	text := routeText(r.Key, r.Value, rec.linkName(r.Value.link))
	if rec.w.add(putVerb(r.Replace), "route", text, verified && known == r.Value) {
		putRoute(&rec.w.batch, r.Key, r.Value, rec.linkIndex(r.Value.link))
		return
	}
	delete(rec.want.routes, r.Key)
}

func (rec *reconciler) deleteRoute(k routeKey, r route, drift bool) {
	if rec.w.add("delete", "route", routeText(k, r, rec.linkName(r.link)), drift) {
		deleteRoute(&rec.w.batch, k, r, rec.linkIndex(r.link))
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
