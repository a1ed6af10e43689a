package vxlan

import (
	"context"
	"time"

	"github.com/podlane/podlane/pause"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/rtnl"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/underlay"
)

// coalesce is how long changes coalesce after a kick before the next. A pass of ours over thousands of peers is as many
// notifications; this makes them a few kicks, and a few system calls.
const coalesce = 50 * time.Millisecond

var groups = []int{
	unix.RTNLGRP_LINK, unix.RTNLGRP_NEIGH,
	unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
	unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE,
	unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE,
	unix.RTNLGRP_IPV4_NETCONF, unix.RTNLGRP_IPV6_NETCONF, // forwarding and the reverse path filter
}

// Watch calls kick once when it is ready, and then whenever the kernel's state may have been changed: at once, and
// again 50 ms later where there was more. It ends without an error when ctx does. See backend.Backend.
//
// Each kick begins a new subscription and closes the old: what that still holds happened before the kick, and whoever
// is kicked reads everything.
func (b *Backend) Watch(ctx context.Context, kick func()) error {
	for {
		err := b.watchOnce(ctx, kick)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // to end is what was asked for
		case err != nil:
			return err
		}
	}
}

// watchOnce subscribes, kicks for what came before, and waits for the next change.
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

// filter tells the notifications that may concern the backend from the pods' devices, neighbours and routes.
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

// matters reports whether a notification may concern us. VXLAN devices of others do: they may have held, or take, our VNI and
// port. So do the addresses of all interfaces: they may be the underlay's new ones, the bridge's, or take traffic from a
// peer. An interface of a pod has only a link-local one. If the underlay is virtual, each interface that is not a bridge's
// port may be on the path to a peer.
func (f filter) matters(m rtnl.Message) bool {
	switch m.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		l, ok := parseLink(m)
		off := l.kind == "bridge" && (m.Type == unix.RTM_DELLINK || !l.device.up) // it may be the pods' bridge
		return ok && (l.kind == linkKind || l.index == f.underlay.Index || l.device.name == f.underlay.Name || isOwn(l) ||
			f.underlay.Virtual && l.device.master == 0 || off)
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

// settingMatters reports whether a notification is about a changed setting: one of all interfaces, such as
// net.ipv4.ip_forward, or forwarding or the reverse-path filter of one that may lead to pods. A new interface, such as a
// pod's, is announced with all its settings at once; a change names one.
func (f filter) settingMatters(m rtnl.Message) bool {
	_, attrs, ok := m.Header(unix.NLMSG_ALIGNTO) // struct netconfmsg, filled up
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

// routeMatters: a default route, or one that the kernel makes for an address, which may lead to another underlay; a route
// with our protocol, through our device, or with a metric of ours: somebody else's may have taken the place of one; and
// any within the pod network that is not of a single address, as those to pods are.
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
