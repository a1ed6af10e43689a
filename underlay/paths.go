package underlay

import (
	"cmp"
	"encoding/binary"
	"errors"
	"math"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/rtnl"
	"github.com/podlane/podlane/subnet"
)

// Paths finds the MTU of a virtual underlay, whose address is on lo or a dummy interface. Packets to other nodes leave
// through other interfaces. The MTU is the smallest of the paths to the peers. While no peer is known, it is the
// smallest of the routes to routers. Once peers are known, it only falls until podlaned restarts. Otherwise it would
// change with each peer.
//
// The zero Paths is ready for use.
type Paths struct {
	mtu     int
	toPeers bool // mtu is from paths to peers
}

// Measure returns the underlay with the MTU of its paths to the peers' addresses. If no path is known, it has the
// interface's own MTU, or 0 for lo, whose MTU means nothing. An interface that is not virtual is returned unchanged.
func (p *Paths) Measure(i Interface, ifaces []Interface, peers func() []netip.Addr) (Interface, error) {
	if !i.Virtual {
		*p = Paths{}
		return i, nil
	}
	mtus := map[int]int{}
	for _, j := range ifaces {
		if j.Up && !j.Virtual && !j.ours() {
			mtus[j.Index] = j.MTU
		}
	}
	toPeers, err := pathsTo(peers())
	if err != nil {
		return i, err
	}
	toRouters, err := pathsToRouters()
	if err != nil {
		return i, err
	}
	if i.MTU >= subnet.MaxMTU {
		i.MTU = 0
	}
	i.MTU = cmp.Or(p.update(smallest(toPeers, mtus), smallest(toRouters, mtus)), i.MTU)
	return i, nil
}

// update returns the MTU to use now. Each of the two MTUs is 0 if it is not known.
func (p *Paths) update(toPeers, toRouters int) int {
	switch {
	case toPeers == 0 && p.toPeers: // all peers are gone: the MTU stays
	case toPeers == 0:
		p.mtu = toRouters
	case p.toPeers:
		p.mtu = min(p.mtu, toPeers)
	default:
		*p = Paths{toPeers, true}
	}
	return p.mtu
}

// path is a route to a node.
type path struct {
	links    []int // indexes of the interfaces, one for each next hop
	mtu      int   // the route's own MTU; 0: none
	toRouter bool  // it leads to a router, or it is a default route
}

// smallest returns the smallest MTU of the paths, or 0 if there is none. mtus holds the MTUs of the interfaces by
// index. Paths through other interfaces are ignored.
func smallest(paths []path, mtus map[int]int) int {
	least := math.MaxInt
	for _, p := range paths {
		for _, link := range p.links {
			mtu, ok := mtus[link]
			switch {
			case !ok:
				continue
			case p.mtu > 0:
				mtu = min(mtu, p.mtu)
			}
			least = min(least, mtu)
		}
	}
	if least == math.MaxInt {
		return 0
	}
	return least
}

// rtmFIBMatch requests the route itself, with all its next hops (RTM_F_FIB_MATCH of linux/rtnetlink.h, Linux 4.15).
const rtmFIBMatch = 0x2000

// pathsTo returns the kernel's routes to these addresses. It omits addresses without a route.
func pathsTo(addrs []netip.Addr) (all []path, err error) {
	conn, err := rtnl.Dial()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	b := &rtnl.Batch{}
	for _, a := range addrs {
		h := make([]byte, unix.SizeofRtMsg)
		h[0], h[1] = families[subnet.FamilyOf(a)], uint8(a.BitLen()) //nolint:gosec // 32 or 128
		binary.NativeEndian.PutUint32(h[8:], rtmFIBMatch)
		b.Reset()
		b.Start(unix.RTM_GETROUTE, 0, h...)
		b.Addr(unix.RTA_DST, a)
		err := conn.Get(b, func(m rtnl.Message) {
			if p, ok := parsePath(m); ok {
				all = append(all, p)
			}
		})
		if refused := (*rtnl.Error)(nil); err != nil && !errors.As(err, &refused) { // a refusal means that there is no route
			return nil, err
		}
	}
	return all, nil
}

// pathsToRouters returns the routes of the main table that lead to routers, and the default routes.
func pathsToRouters() (all []path, err error) {
	for _, f := range subnet.Families {
		paths, err := dumpRoutes(f, func(m rtnl.Message) (path, bool) {
			h, _, ok := m.Header(unix.SizeofRtMsg)
			if !ok || h[0] != families[f] || h[4] != unix.RT_TABLE_MAIN {
				return path{}, false
			}
			p, ok := parsePath(m)
			return p, ok && p.toRouter
		})
		if err != nil {
			return nil, err
		}
		all = append(all, paths...)
	}
	return all, nil
}

// parsePath parses a unicast route.
func parsePath(m rtnl.Message) (p path, ok bool) {
	h, attrs, ok := m.Header(unix.SizeofRtMsg)
	if !ok || m.Type != unix.RTM_NEWROUTE || h[7] != unix.RTN_UNICAST {
		return p, false
	}
	p.toRouter = h[1] == 0
	for attrs.Next() {
		switch attrs.Type {
		case unix.RTA_OIF:
			p.links = append(p.links, int(attrs.Uint32()))
		case unix.RTA_GATEWAY, unix.RTA_VIA:
			p.toRouter = true
		case unix.RTA_METRICS:
			for inner := attrs.Nested(); inner.Next(); {
				if inner.Type == unix.RTAX_MTU {
					p.mtu = int(inner.Uint32())
				}
			}
		case unix.RTA_MULTIPATH:
			p.toRouter = true
			p.links = append(p.links, nextHops(attrs.Value)...)
		}
	}
	return p, len(p.links) > 0
}

// nextHops returns the indexes of the interfaces of a route with several next hops. Each struct rtnexthop is followed
// by its attributes.
func nextHops(data []byte) (links []int) {
	for len(data) >= unix.SizeofRtNexthop {
		length := int(binary.NativeEndian.Uint16(data))
		if length < unix.SizeofRtNexthop || length > len(data) {
			return links
		}
		links = append(links, int(binary.NativeEndian.Uint32(data[4:])))
		data = data[min((length+3)&^3, len(data)):]
	}
	return links
}
