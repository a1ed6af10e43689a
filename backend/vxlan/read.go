package vxlan

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/backend/vxlan/rtnl"
	"github.com/podlane/podlane/subnet"
)

// maxReads is how often a dump is read before giving up, because the kernel's tables change all the time.
const maxReads = 20

// dump reads until the kernel's tables did not change meanwhile. start is called before each attempt.
func dump(c *rtnl.Conn, what string, request func(b *rtnl.Batch), start func(), each func(rtnl.Message)) error {
	var err error
	for range maxReads {
		start()
		var b rtnl.Batch
		request(&b)
		err = c.Dump(&b, each)
		if !errors.Is(err, rtnl.ErrInterrupted) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", what, err)
	}
	return nil
}

// filterSkipStats is RTEXT_FILTER_SKIP_STATS of linux/rtnetlink.h: counters are not wanted.
const filterSkipStats = 1 << 3

// readLinks reads the VXLAN devices. The kernel filters by kind: the pods' devices cost nothing.
func readLinks(c *rtnl.Conn) (links []link, err error) {
	err = dump(c, "vxlan devices", func(b *rtnl.Batch) {
		b.Start(unix.RTM_GETLINK, 0, ifinfo(0, 0, 0)...)
		b.Uint32(unix.IFLA_EXT_MASK, filterSkipStats)
		b.Nest(unix.IFLA_LINKINFO, func() { b.String(unix.IFLA_INFO_KIND, kind) })
	}, func() { links = links[:0] }, func(m rtnl.Message) {
		if l, ok := parseLink(m); ok && l.kind == kind { // a kernel that has not loaded vxlan yet does not filter
			links = append(links, l)
		}
	})
	return links, err
}

// readLink reads one device by name or, where that is empty, by index.
func readLink(c *rtnl.Conn, name string, index int) (l link, err error) {
	var b rtnl.Batch
	b.Start(unix.RTM_GETLINK, 0, ifinfo(index, 0, 0)...)
	if name != "" {
		b.String(unix.IFLA_IFNAME, name)
	}
	err = c.Get(&b, func(m rtnl.Message) {
		if got, ok := parseLink(m); ok {
			l = got
		}
	})
	if err != nil {
		return l, fmt.Errorf("read device %s: %w", name, err)
	}
	return l, nil
}

// readAddrs reads a device's addresses, of both families, and returns those of other interfaces that are within.
func (s *state) readAddrs(c *rtnl.Conn, index int, within func(netip.Prefix) bool) (others []otherAddr, err error) {
	err = dump(c, "addresses", func(b *rtnl.Batch) {
		b.Start(unix.RTM_GETADDR, 0, make([]byte, unix.SizeofIfAddrmsg)...)
	}, func() { clear(s.addrs); others = nil }, func(m rtnl.Message) {
		switch p, at, ok := parseAddress(m); {
		case ok && at == index:
			s.addrs[p] = true
		case ok && within(hostPrefix(p.Addr())):
			others = append(others, otherAddr{p, at})
		}
	})
	return others, err
}

// readNeighbours reads the neighbours on a device.
func (s *state) readNeighbours(c *rtnl.Conn, f subnet.Family, index int) error {
	return dump(c, "neighbours", func(b *rtnl.Batch) {
		b.Start(unix.RTM_GETNEIGH, 0, ndmsg(socketFamily[f], 0, 0, 0)...)
		b.Uint32(unix.NDA_IFINDEX, uint32(index)) //nolint:gosec // as above
	}, func() { clear(s.neighbours) }, func(m rtnl.Message) {
		if a, mac, ok := parseNeighbour(m, f, index); ok {
			s.neighbours[a] = mac
		}
	})
}

// readFDB reads a device's forwarding database, and returns the entries that stand in the way of ours because the
// kernel does not replace them. With learning on, what the kernel learned is its own.
func (s *state) readFDB(c *rtnl.Conn, index int, learning bool) (inTheWay []subnet.MAC, err error) {
	err = dump(c, "fdb", func(b *rtnl.Batch) {
		b.Start(unix.RTM_GETNEIGH, 0, ndmsg(unix.AF_BRIDGE, 0, 0, 0)...)
		b.Uint32(unix.NDA_IFINDEX, uint32(index)) //nolint:gosec // as above
	}, func() { clear(s.fdb); inTheWay = nil }, func(m rtnl.Message) {
		e, ok := parseFDB(m, index)
		switch {
		case !ok || e.learned && learning:
		case e.nexthop:
			inTheWay = append(inTheWay, e.mac)
		default:
			if _, several := s.fdb[e.mac]; several {
				e.dst = netip.Addr{}
			}
			s.fdb[e.mac] = e.dst
		}
	})
	return inTheWay, err
}

// stray is a further route with the key of another: only somebody who appends makes one.
type stray struct {
	key   routeKey
	route route
}

// readRoutes reads the main table: the routes of ours through whatever device, those that stand beside another of the
// same key, and those of others that are within.
func (s *state) readRoutes(
	c *rtnl.Conn, f subnet.Family, own int, within func(netip.Prefix) bool,
) (strays []stray, others []tableRoute, err error) {
	start := func() { clear(s.routes); strays, others = nil, nil }
	err = readTable(c, f, unix.RT_TABLE_MAIN, start, func(r tableRoute) {
		if r.protocol != protocol {
			if within(r.key.prefix) {
				others = append(others, r)
			}
			return
		}
		if own != 0 && r.route.link == own {
			r.route.link = ownDevice
		}
		switch _, several := s.routes[r.key]; {
		case several:
			strays = append(strays, stray{r.key, r.ours()})
		default:
			s.routes[r.key] = r.ours()
		}
	})
	return strays, others, err
}

func readTable(c *rtnl.Conn, f subnet.Family, table uint32, start func(), each func(tableRoute)) error {
	err := dump(c, "routes", func(b *rtnl.Batch) {
		b.Start(unix.RTM_GETROUTE, 0, socketFamily[f], 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
		b.Uint32(unix.RTA_TABLE, table)
	}, start, func(m rtnl.Message) {
		if r, ok := parseRoute(m, f); ok && r.table == table {
			each(r)
		}
	})
	if errors.Is(err, unix.ENOENT) { // the kernel makes a table with its first route
		return nil
	}
	return err
}

// readRules reads the routing rules of a family, in the order in which the kernel asks them. A kernel without policy
// routing has none.
func readRules(c *rtnl.Conn, f subnet.Family) (rules []rule, err error) {
	err = dump(c, "rules", func(b *rtnl.Batch) {
		b.Start(unix.RTM_GETRULE, 0, socketFamily[f], 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	}, func() { rules = nil }, func(m rtnl.Message) {
		if r, ok := parseRule(m, f); ok {
			rules = append(rules, r)
		}
	})
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT) {
		return nil, nil
	}
	return rules, err
}
