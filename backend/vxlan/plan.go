package vxlan

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/underlay"
)

// state is the installed or the wanted kernel state of one family.
type state struct {
	device     device                    // zero if there is none
	addrs      map[netip.Prefix]bool     // of the device, of both families; the values are true
	neighbours map[netip.Addr]subnet.MAC // on the device; the MAC is zero if the installed entry is not permanent
	fdb        map[subnet.MAC]netip.Addr // of the device; not valid if the installed entry is unlike ours
	routes     map[routeKey]route        // in the main table with our protocol, through any device
}

// routeKey identifies a route in a routing table. podlane's own routes have no type of service.
type routeKey struct {
	prefix netip.Prefix
	metric uint32
	tos    uint8
}

// route is the next hop of a route. It is zero for a route that podlane never makes: a blackhole, several next hops, a
// source address.
type route struct {
	via    netip.Addr
	link   int // index of the interface, or ownDevice
	onlink bool
}

// ownDevice is used in place of the index of the family's own device. A plan cannot know the index: the kernel
// assigns it.
const ownDevice = 0

// The metrics of routes. A direct route wins over a route through the tunnel. Hardly any two routes share a metric,
// because Linux hashes route information without the gateway. N routes with one metric share a hash chain, and adding
// them costs O(N²). 20,000 took 5.1 s with one metric and 0.41 s with distinct ones.
const (
	metricDirect = 1 << 16
	metricTunnel = 1 << 17
	metricRoom   = 1 << 16 // number of metrics of each kind
)

// plan returns the wanted state for this node's own lease and its peers, in one family. It names peers that cannot be
// programmed, with the reason. It ignores peers without this family. It is pure.
func plan(f subnet.Family, n subnet.Network, u underlay.Interface, self subnet.Lease, peers []subnet.Lease) (state, []subnet.Skip) {
	if !n.Range(f).On() {
		return newState(0), nil
	}
	s := newState(len(peers))
	var skipped []subnet.Skip
	own := self.Endpoint(f)
	s.device = wantDevice(f, n, u, own)
	s.addrs[hostPrefix(own.Subnet.Addr())] = true
	for _, p := range peers {
		e := p.Endpoint(f)
		if !e.Subnet.IsValid() {
			continue
		}
		if reason := unsupported(p, e, n.VXLAN.VNI); reason != "" {
			skipped = append(skipped, subnet.Skip{Key: p.Pair().Key(), Reason: reason})
			continue
		}
		s.addPeer(f, n, u, e)
	}
	return s, skipped
}

func newState(peers int) state {
	return state{
		addrs:      make(map[netip.Prefix]bool, 1),
		neighbours: make(map[netip.Addr]subnet.MAC, peers),
		fdb:        make(map[subnet.MAC]netip.Addr, peers),
		routes:     make(map[routeKey]route, peers),
	}
}

// unsupported returns why a peer cannot be programmed; empty if it can.
func unsupported(p subnet.Lease, e subnet.Endpoint, vni uint32) string {
	switch {
	case p.BackendType != subnet.BackendVXLAN:
		return fmt.Sprintf("its backend is %q: only %q is programmed", p.BackendType, subnet.BackendVXLAN)
	case e.VNI != 0 && e.VNI != vni:
		return fmt.Sprintf("its VNI is %d, ours is %d", e.VNI, vni)
	}
	return ""
}

// addPeer adds the entries that reach one peer:
//
//	through the tunnel   route subnet via first -> neighbour first is MAC -> FDB: MAC is at the public address
//	directly             route subnet via the public address
func (s *state) addPeer(f subnet.Family, n subnet.Network, u underlay.Interface, e subnet.Endpoint) {
	key, r := peerRoute(f, n, u, e)
	s.routes[key] = r
	if r.link == ownDevice {
		s.neighbours[r.via] = e.MAC
		s.fdb[e.MAC] = e.PublicIP
	}
}

func peerRoute(f subnet.Family, n subnet.Network, u underlay.Interface, e subnet.Endpoint) (routeKey, route) {
	i := subnetIndex(n.Range(f).Prefix, e.Subnet)
	if n.VXLAN.DirectRouting && u.OnLink(e.PublicIP) {
		return routeKey{prefix: e.Subnet, metric: metricDirect + i}, route{via: e.PublicIP, link: u.Index}
	}
	return routeKey{prefix: e.Subnet, metric: metricTunnel + i}, route{via: e.Subnet.Addr(), link: ownDevice, onlink: true}
}

// hasPeer reports whether the state has all entries that reach a peer.
func (s *state) hasPeer(f subnet.Family, n subnet.Network, u underlay.Interface, e subnet.Endpoint) bool {
	key, want := peerRoute(f, n, u, e)
	if r, exists := s.routes[key]; !exists || r != want {
		return false
	}
	return want.link != ownDevice || s.neighbours[want.via] == e.MAC && s.fdb[e.MAC] == e.PublicIP
}

// subnetIndex returns the number of a pod subnet within the pod network, modulo 65536. It is 34 for 10.5.34.0/24 in
// 10.5.0.0/16. IPv6 numbers are folded, because nodes often differ in their upper bits (fd00:5:22::/64 in
// fd00:5::/32).
func subnetIndex(network, p netip.Prefix) uint32 {
	base, at := network.Masked().Addr().As16(), p.Addr().As16()
	hi := binary.BigEndian.Uint64(base[:8]) ^ binary.BigEndian.Uint64(at[:8])
	lo := binary.BigEndian.Uint64(base[8:]) ^ binary.BigEndian.Uint64(at[8:])
	shift := p.Addr().BitLen() - p.Bits()
	if p.Addr().Is4() {
		return uint32(lo>>shift) % metricRoom //nolint:gosec // an IPv4 number has 32 bits
	}
	if shift >= 64 {
		hi, lo = 0, hi>>(shift-64)
	} else {
		hi, lo = hi>>shift, lo>>shift|hi<<(64-shift)
	}
	fold := hi ^ lo
	fold ^= fold >> 32
	fold ^= fold >> 16
	return uint32(fold % metricRoom)
}

func hostPrefix(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }
