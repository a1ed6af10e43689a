package vxlan

import (
	"context"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/pause"
	"github.com/podlane/podlane/rtnl"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/underlay"
)

// coalesce is how long Watch waits after a kick, so that all changes within that time become one kick. Thousands of
// peers cause as many notifications. They become a few kicks and a few system calls.
const coalesce = 50 * time.Millisecond

var groups = []int{
	unix.RTNLGRP_LINK, unix.RTNLGRP_NEIGH,
	unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
	unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE,
	unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE,
	unix.RTNLGRP_IPV4_NETCONF, unix.RTNLGRP_IPV6_NETCONF, // forwarding and the reverse-path filter
}

// Watch calls kick once when it is ready, and then when the kernel's state may have changed. It calls at once, and
// again 50 ms later if there was more. It returns nil when ctx ends. See backend.Backend.
//
// Each kick begins a new subscription. Notifications in the old one are older than the kick. The receiver of the kick
// reads everything.
func (b *Backend) Watch(ctx context.Context, kick func()) error {
	for {
		err := b.watchOnce(ctx, kick)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // the end of ctx is no failure
		case err != nil:
			return err
		}
	}
}

// watchOnce subscribes, kicks for earlier changes, and waits for the next change.
func (b *Backend) watchOnce(ctx context.Context, kick func()) error {
	s, err := rtnl.Subscribe(groups...)
	if err != nil {
		return err
	}
	defer s.Close()
	filter, err := b.newFilter()
	if err != nil {
		return err
	}
	kick()
	if !pause.For(ctx, coalesce) {
		return ctx.Err()
	}
	return s.Await(ctx, filter.matters)
}

// filter selects the notifications that may concern the backend. Most are about the pods' devices, neighbours and
// routes.
type filter struct {
	network  subnet.Network
	underlay underlay.Interface
	own      map[int]bool // indexes of our devices
}

func (b *Backend) newFilter() (filter, error) {
	f := filter{network: b.network, underlay: b.underlay, own: map[int]bool{}}
	conn, err := rtnl.Dial()
	if err != nil {
		return f, err
	}
	defer conn.Close()
	links, err := readLinks(conn)
	for _, l := range links {
		f.own[l.index] = isOwn(l)
	}
	return f, err
}

func isOwn(l link) bool {
	return ownName(subnet.IPv4, l.device.name) || ownName(subnet.IPv6, l.device.name)
}

// matters reports whether a notification may concern us. These do:
//   - other VXLAN devices: they may use, or release, our VNI and port
//   - addresses of all interfaces: they may be the underlay's or the bridge's, or divert traffic (an interface of a
//     pod has only a link-local one)
//   - any interface that is not a bridge's port, if the underlay is virtual: it may be on the path to a peer
func (f filter) matters(m rtnl.Message) bool {
	switch m.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		l, ok := parseLink(m)
		bridgeDown := l.kind == "bridge" && (m.Type == unix.RTM_DELLINK || !l.device.up) // it may be the pods' bridge
		return ok && (l.kind == linkKind || l.index == f.underlay.Index || l.device.name == f.underlay.Name || isOwn(l) ||
			f.underlay.Virtual && l.device.master == 0 || bridgeDown)
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		h, _, ok := m.Header(unix.SizeofNdMsg)
		return ok && f.own[ndIndex(h)]
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		a, index, ok := parseAddress(m)
		return ok && (f.own[index] || !a.Addr().IsLinkLocalUnicast())
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		return f.routeMatters(m)
	case unix.RTM_NEWNETCONF:
		return f.settingMatters(m)
	case unix.RTM_NEWRULE, unix.RTM_DELRULE:
		return true
	}
	return false
}

// settingMatters reports whether a notification is about a changed setting. It may concern all interfaces, such as
// net.ipv4.ip_forward. Or it is forwarding or the reverse-path filter of an interface that may lead to pods. The
// kernel announces a new interface, such as a pod's, with all its settings at once. A change names one.
func (f filter) settingMatters(m rtnl.Message) bool {
	_, attrs, ok := m.Header(unix.NLMSG_ALIGNTO) // struct netconfmsg, padded
	settings, ours := 0, false
	for ok && attrs.Next() {
		if attrs.Type != netconfIfindex {
			settings++
			ours = ours || attrs.Type == netconfForwarding || attrs.Type == netconfRPFilter
			continue
		}
		if index := int32(attrs.Uint32()); index == netconfAll || f.own[int(index)] { //nolint:gosec // it is a signed number
			return true
		}
	}
	return ours && settings == 1
}

const (
	netconfIfindex    = 1  // NETCONFA_IFINDEX of linux/netconf.h
	netconfForwarding = 2  // NETCONFA_FORWARDING
	netconfRPFilter   = 3  // NETCONFA_RP_FILTER
	netconfAll        = -1 // NETCONFA_IFINDEX_ALL
)

// routeMatters reports whether a notification is about one of these routes of the main table:
//   - a default route or one that the kernel made for an address: it may lead to another underlay
//   - a route with our protocol, through our device, or with a metric of ours: another program may have replaced our
//     route
//   - a route within the pod network, except those of single addresses, as routes to pods are
func (f filter) routeMatters(m rtnl.Message) bool {
	for _, family := range subnet.Families {
		r, ok := parseRoute(m, family)
		if !ok || r.table != unix.RT_TABLE_MAIN {
			continue
		}
		p, pods := r.key.prefix, f.network.Range(family).Prefix
		return p.Bits() == 0 || r.protocol == protocol || f.own[r.route.link] ||
			r.key.metric >= metricDirect && r.key.metric < metricTunnel+metricRoom ||
			r.protocol == unix.RTPROT_KERNEL && p.Addr().IsGlobalUnicast() ||
			pods.IsValid() && subnet.Contains(pods, p) && !p.IsSingleIP()
	}
	return false
}
