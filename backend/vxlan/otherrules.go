package vxlan

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/subnet"
)

// A routing rule of another program may lead packets to pods past the main table, which has our routes. This file finds
// such rules. Like the kernel, it evaluates the rules for packets without a mark:
//
//	source         an address of a pod, or another one of this node
//	destination    a peer's pod subnet, or our own
//
// The node's own packets may have a pod network address as source, because the bridge and our device have some. The
// firewall's reverse-path check also looks up the route back as for a packet of the node itself.

// traffic is the packets to pods from one source.
type traffic struct {
	from   netip.Prefix
	ifaces []string // the interfaces on which they may arrive; lo means the node's own packets
}

// match reports whether a rule matches some, or all, packets of traffic to a destination.
func (r rule) match(t traffic, to netip.Prefix) (some, all bool) {
	some = !r.rare && r.mark.value == 0
	all = some && !r.uncertain
	narrow := func(p, region netip.Prefix) {
		some = some && (!p.IsValid() || p.Overlaps(region))
		all = all && (!p.IsValid() || subnet.Contains(p, region))
	}
	narrow(r.src, t.from)
	narrow(r.dst, to)
	if r.iif != "" {
		some = some && slices.Contains(t.ifaces, r.iif)
		all = all && len(t.ifaces) == 1 && t.ifaces[0] == r.iif
	}
	if r.not {
		return !all, !some
	}
	return some, all
}

// within returns the part of traffic and of a destination that a rule selects. It uses the rule's prefixes and input
// interface.
func (r rule) within(t traffic, to netip.Prefix) (traffic, netip.Prefix) {
	if r.not {
		return t, to
	}
	if r.src.IsValid() && subnet.Contains(t.from, r.src) {
		t.from = r.src
	}
	if r.dst.IsValid() && subnet.Contains(to, r.dst) {
		to = r.dst
	}
	if r.iif != "" {
		t.ifaces = []string{r.iif}
	}
	return t, to
}

// diversion is a rule that leads packets past the main table, with the destinations of these packets.
type diversion struct {
	rule
	to map[netip.Prefix]bool
}

// diversions returns the rules that divert packets to pods: they match before another rule leads all of these packets to
// the main table. leadsPods reports whether any rule leads packets between pods to the main table. diversions is pure.
func diversions(rules []rule, network netip.Prefix, sources []traffic, pods []netip.Prefix) (list []diversion, leadsPods bool) {
	var toMain []rule
	anyInterface := []string{"lo", "*"}
	anywhere := netip.PrefixFrom(network.Addr(), 0).Masked()
	jump := uint32(0)
	for _, r := range rules {
		_, ofPods := r.match(traffic{network, anyInterface}, network)
		_, all := r.match(traffic{anywhere, anyInterface}, network)
		switch {
		case r.priority < jump: // a goto skips it
		case r.action == actionGoto && all:
			jump = r.target
		case r.leadsToMain(network):
			if leadsPods = leadsPods || ofPods; all {
				return list, leadsPods
			}
			toMain = append(toMain, r)
		case r.leadsAway():
			if to := r.affected(toMain, network, sources, pods); len(to) > 0 {
				list = append(list, diversion{r, to})
			}
		}
	}
	return list, leadsPods
}

// affected returns the destinations, or parts of them, whose packets this rule diverts. No earlier rule leads these
// to the main table.
func (r rule) affected(toMain []rule, network netip.Prefix, sources []traffic, pods []netip.Prefix) map[netip.Prefix]bool {
	to := map[netip.Prefix]bool{}
	for _, t := range sources {
		if some, _ := r.match(t, network); !some {
			continue
		}
		for _, pod := range pods {
			if some, _ := r.match(t, pod); !some {
				continue
			}
			part, at := r.within(t, pod)
			if !slices.ContainsFunc(toMain, func(m rule) bool { _, all := m.match(part, at); return all }) {
				to[at] = true
			}
		}
	}
	return to
}

// findRules finds the rules that divert packets to pods.
func (rec *reconciler) findRules(f *findings) {
	var rules []rule
	if err := eachRule(rec.w.conn, rec.family, func(r rule) { rules = append(rules, r) }); err != nil {
		f.notes.addUnreadable(fmt.Sprintf("which %s rules divert traffic to peers", rec.family), err)
		return
	}
	list, leadsPods := diversions(rules, rec.network, rec.sources(), rec.destinations())
	rec.reportRules(f, list)
	if len(rules) > 0 && !leadsPods {
		f.problems.add(func() string {
			return fmt.Sprintf("no %s rule leads packets to pods to the main table; add it: %s rule add pref 32766 lookup main",
				rec.family, ipCommand[rec.family])
		})
	}
}

// sources returns the traffic to check.
func (rec *reconciler) sources() []traffic {
	by := []string{"lo", rec.name}
	for link := range rec.podLinks() {
		by = append(by, rec.linkName(link))
	}
	for _, r := range rec.want.routes {
		if r.link != ownDevice { // peers' pods arrive directly
			by = append(by, rec.underlay.Name)
			break
		}
	}
	var all []traffic
	pods := rec.podPrefixes()
	for _, from := range pods {
		all = append(all, traffic{from, by})
	}
	for _, a := range rec.otherAddrs {
		host := hostPrefix(a.addr.Addr())
		isPod := slices.ContainsFunc(pods, func(q netip.Prefix) bool { return subnet.Contains(q, host) })
		if addressFamily(host.Addr()) == socketFamily[rec.family] && !isPod {
			all = append(all, traffic{host, []string{"lo"}})
		}
	}
	return all
}

// destinations returns the peers' pod subnets, and our own if pods are attached.
func (rec *reconciler) destinations() []netip.Prefix {
	var pods []netip.Prefix
	if len(rec.podLinks()) > 0 {
		pods = append(pods, rec.subnet)
	}
	for key := range rec.want.routes {
		pods = append(pods, key.prefix)
	}
	return pods
}

// reportRules reports the rules that divert packets. A rule without a table diverts them by itself. A rule with a
// table diverts them only if the table has another route. Each table is read once.
func (rec *reconciler) reportRules(f *findings, list []diversion) {
	tables := map[uint32]table{}
	type finding struct {
		rule
		route string
	}
	var certain []finding
	for _, d := range list {
		route := ""
		if d.action == actionTable && !d.l3mdev {
			if _, ok := tables[d.table]; !ok {
				t, err := rec.readTable(d.table)
				if err != nil {
					f.notes.addUnreadable(fmt.Sprintf("whether rule %s diverts traffic to pods", d.rule), err)
					continue
				}
				tables[d.table] = t
			}
			diverting, found := tables[d.table].diverts(d, rec.matchesOurRoute)
			if !found {
				continue
			}
			route = ", whose table has " + diverting.text(rec.linkName(diverting.route.link)) + ","
		}
		if d.uncertain {
			f.notes.add(func() string {
				return fmt.Sprintf("rule %s%s may divert traffic to pods before the main table: podlaned cannot tell which packets it matches", d.rule, route)
			})
			continue
		}
		certain = append(certain, finding{d.rule, route})
	}
	for _, c := range certain { // in the order of their priorities
		f.problems.add(func() string {
			return fmt.Sprintf("rule %s%s diverts traffic to pods before the main table; %s", c.rule, c.route, rec.fixCommand(certain[0].rule, c.rule))
		})
	}
}

// fixCommand returns the command that repairs a rule. It adds a rule to the main table before the first such rule.
// Without a free priority it removes the rule.
func (rec *reconciler) fixCommand(first, r rule) string {
	if first.priority == 0 {
		return fmt.Sprintf("remove it: %s rule del %s", ipCommand[rec.family], r)
	}
	var commands []string
	for _, pods := range rec.podPrefixes() {
		commands = append(commands, fmt.Sprintf("%s rule add pref %d to %s lookup main", ipCommand[rec.family], first.priority-1, pods))
	}
	return "add a rule before it: " + strings.Join(commands, " && ")
}

// matchesOurRoute reports whether a route of another table leads packets to a pod subnet like our route. It must have
// the same interface or the same next hop.
func (rec *reconciler) matchesOurRoute(r tableRoute, pods netip.Prefix) bool {
	if rec.subnet.Overlaps(pods) {
		return rec.podLinks()[r.route.link]
	}
	if r.route.link == rec.index {
		return true
	}
	for bits := pods.Bits(); bits >= rec.network.Bits(); bits-- {
		q := netip.PrefixFrom(pods.Addr(), bits).Masked()
		for _, base := range []uint32{metricDirect, metricTunnel} {
			if want, ok := rec.want.routes[routeKey{prefix: q, metric: base + subnetIndex(rec.network, q)}]; ok {
				return r.route == want
			}
		}
	}
	return false
}

// table holds the routes of a routing table that packets to pods may use, by prefix: the one with the lowest metric.
type table map[netip.Prefix]tableRoute

func (rec *reconciler) readTable(number uint32) (table, error) {
	t := table{}
	err := eachRoute(rec.w.conn, rec.family, number, func(r tableRoute) {
		if r.dead || r.key.tos != 0 || !rec.network.Overlaps(r.key.prefix) {
			return
		}
		if other, ok := t[r.key.prefix]; !ok || r.key.metric < other.key.metric {
			t[r.key.prefix] = r
		}
	})
	return t, err
}

// diverts returns a route of this table that leads a rule's packets elsewhere. It is the longest route that contains
// a whole destination, or a route to a part of one.
func (t table) diverts(d diversion, likeOurs func(r tableRoute, pods netip.Prefix) bool) (diverting tableRoute, found bool) {
	elsewhere := func(r tableRoute, to netip.Prefix) bool {
		return r.routeType != unix.RTN_THROW && r.key.prefix.Bits() > d.suppress && (r.routeType != unix.RTN_UNICAST || !likeOurs(r, to))
	}
	if len(t) == 0 {
		return diverting, false
	}
	for _, to := range slices.SortedFunc(maps.Keys(d.to), netip.Prefix.Compare) {
		for bits := to.Bits(); bits >= 0; bits-- {
			r, ok := t[netip.PrefixFrom(to.Addr(), bits).Masked()]
			if ok && r.key.prefix.Bits() > d.suppress {
				if elsewhere(r, to) {
					return r, true
				}
				break
			}
		}
	}
	for p, r := range t {
		for bits := p.Bits() - 1; bits >= 0; bits-- {
			to := netip.PrefixFrom(p.Addr(), bits).Masked()
			if d.to[to] && elsewhere(r, p) && (!found || p.Compare(diverting.key.prefix) < 0) {
				diverting, found = r, true
			}
		}
	}
	return diverting, found
}
