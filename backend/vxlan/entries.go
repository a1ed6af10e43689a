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

// conflicts holds entries of other programs that must be deleted before ours are written.
type conflicts struct {
	routes []duplicate  // the kernel could change these instead of ours
	fdb    []subnet.MAC // they point to next hop objects; the kernel cannot replace them
}

// writeEntries queues the changes of all entries. A peer is added in the order neighbour, FDB entry, route, and
// removed in reverse. So no packet uses a route without a neighbour. Additions come before removals, so that a peer
// that moves always has a route.
func (rec *reconciler) writeEntries(conflicting conflicts) {
	for _, d := range conflicting.routes {
		rec.deleteRoute(d.key, d.route, rec.verified)
	}
	for _, mac := range conflicting.fdb {
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
		_, known := rec.before.fdb[mac]
		rec.deleteFDB(mac, rec.have.fdb[mac], rec.verified && !known)
	}
	for _, a := range oldNeighbours {
		rec.deleteNeighbour(a)
	}
}

// deleteConflictingRoutes deletes old and changed routes that do not use our device. It returns the remaining old
// ones. Linux refuses an IPv6 route while it would reach the gateway through another device
// (ip6_route_check_nh_onlink). Onlink does not help. So when a peer leaves our link, its old direct route would block
// the new one.
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

// routeAppeared reports whether another program has added this unwanted route since the last Apply.
func (rec *reconciler) routeAppeared(k routeKey) bool {
	_, known := rec.before.routes[k]
	return rec.verified && !known
}

// A write is drift if the last Apply left the entry in its wanted state: another program changed it since. An entry
// that the kernel refused is deleted from the wanted state of this run.

func (rec *reconciler) putNeighbour(n backend.Put[netip.Addr, subnet.MAC]) {
	last, wasPut := rec.before.neighbours[n.Key]
	text := neighbourText(n.Key, n.Value, rec.name)
	if rec.w.add(putVerb(n.Replace), "neighbour", text, wasPut && last == n.Value) {
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
	last, wasPut := rec.before.fdb[e.Key]
	if rec.w.add(putVerb(e.Replace), "fdb", fdbText(e.Key, e.Value, rec.name), wasPut && last == e.Value) {
		putFDB(&rec.w.batch, rec.index, e.Key, e.Value, 0)
		return
	}
	delete(rec.want.fdb, e.Key)
}

// rewriteFDB writes all FDB entries again. by is the interface to bind them to; the zero Interface binds them to none.
//
// The kernel caches the last route in each entry, with its source address. It uses that as long as the route exists,
// even after the device's local address has changed. Peers would drop such packets: their source is no longer a peer's
// address. The kernel clears the cache when the entry changes (dst_cache in vxlan_fdb_replace, Linux 4.6).
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
	last, wasPut := rec.before.routes[r.Key]
	text := routeText(r.Key, r.Value, rec.linkName(r.Value.link))
	if rec.w.add(putVerb(r.Replace), "route", text, wasPut && last == r.Value) {
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
