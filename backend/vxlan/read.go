package vxlan

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/kernel"
	"github.com/podlane/podlane/rtnl"
	"github.com/podlane/podlane/subnet"
)

// dump reads until the tables do not change. start is called before each attempt.
func dump(c *rtnl.Conn, what string, request func(b *rtnl.Batch), start func(), each func(rtnl.Message)) error {
	return kernel.RetryRead(rtnl.ErrInterrupted, func() error {
		start()
		return dumpOnce(c, what, request, each)
	})
}

// dumpOnce reads once. Use it if missing an entry does no harm.
func dumpOnce(c *rtnl.Conn, what string, request func(b *rtnl.Batch), each func(rtnl.Message)) error {
	var b rtnl.Batch
	request(&b)
	if err := c.Dump(&b, each); err != nil {
		return fmt.Errorf("read %s: %w", what, err)
	}
	return nil
}

// filterSkipStats is RTEXT_FILTER_SKIP_STATS of linux/rtnetlink.h: omit the counters.
const filterSkipStats = 1 << 3

// readLinks reads the VXLAN devices. The kernel filters by kind, so the pods' devices cost nothing.
func readLinks(c *rtnl.Conn) (links []link, err error) {
	err = dump(c, "vxlan devices", func(b *rtnl.Batch) {
		b.Start(unix.RTM_GETLINK, 0, ifinfo(0, 0, 0)...)
		b.Uint32(unix.IFLA_EXT_MASK, filterSkipStats)
		b.Nest(unix.IFLA_LINKINFO, func() { b.String(unix.IFLA_INFO_KIND, linkKind) })
	}, func() { links = links[:0] }, func(m rtnl.Message) {
		if l, ok := parseLink(m); ok && l.kind == linkKind { // a kernel that has not loaded vxlan yet does not filter
			links = append(links, l)
		}
	})
	return links, err
}

// readLink reads one device by name or, if that is empty, by index.
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

// readAddrs reads a device's addresses of both families. It returns those of the other interfaces, except loopback
// and IPv6 link-local addresses. No packet to other nodes' pods comes from them.
func (s *state) readAddrs(c *rtnl.Conn, index int) (others []otherAddr, err error) {
	err = dump(c, "addresses", func(b *rtnl.Batch) {
		b.Start(unix.RTM_GETADDR, 0, make([]byte, unix.SizeofIfAddrmsg)...)
	}, func() { clear(s.addrs); others = nil }, func(m rtnl.Message) {
		switch p, at, ok := parseAddress(m); {
		case ok && at == index:
			s.addrs[p] = true
		case ok && (p.Addr().IsGlobalUnicast() || p.Addr().Is4() && p.Addr().IsLinkLocalUnicast()):
			others = append(others, otherAddr{p, at})
		}
	})
	return others, err
}

// readNeighbours reads the neighbours on a device.
func (s *state) readNeighbours(c *rtnl.Conn, f subnet.Family, index int) error {
	return dump(c, "neighbours", func(b *rtnl.Batch) {
		b.Start(unix.RTM_GETNEIGH, 0, ndmsg(socketFamily[f], 0, 0, 0)...)
		b.Uint32(unix.NDA_IFINDEX, uint32(index)) //nolint:gosec // as in ndmsg
	}, func() { clear(s.neighbours) }, func(m rtnl.Message) {
		if a, mac, ok := parseNeighbour(m, f, index); ok {
			s.neighbours[a] = mac
		}
	})
}

// readFDB reads a device's forwarding database. It returns entries that conflict with ours because the kernel cannot
// replace them. With learning on, learned entries belong to the kernel.
func (s *state) readFDB(c *rtnl.Conn, index int, learning bool) (conflicting []subnet.MAC, err error) {
	err = dump(c, "fdb", func(b *rtnl.Batch) {
		b.Start(unix.RTM_GETNEIGH, 0, ndmsg(unix.AF_BRIDGE, 0, 0, 0)...)
		b.Uint32(unix.NDA_IFINDEX, uint32(index)) //nolint:gosec // as in ndmsg
	}, func() { clear(s.fdb); conflicting = nil }, func(m rtnl.Message) {
		e, ok := parseFDB(m, index)
		switch {
		case !ok || e.learned && learning:
		case e.nexthop:
			conflicting = append(conflicting, e.mac)
		default:
			if _, several := s.fdb[e.mac]; several {
				e.dst = netip.Addr{}
			}
			s.fdb[e.mac] = e.dst
		}
	})
	return conflicting, err
}

// duplicate is another route with the same key. Only a program that appends routes makes one.
type duplicate struct {
	key   routeKey
	route route
}

// readRoutes reads our routes in the main table. It returns duplicates: routes that exist beside another one of the
// same key.
func (s *state) readRoutes(c *rtnl.Conn, f subnet.Family, own int) (duplicates []duplicate, err error) {
	err = dump(c, "routes", requestRoutes(f, unix.RT_TABLE_MAIN, protocol), func() { clear(s.routes); duplicates = nil }, func(m rtnl.Message) {
		r, ok := parseRoute(m, f)
		if !ok || r.table != unix.RT_TABLE_MAIN || r.protocol != protocol {
			return
		}
		if own != 0 && r.route.link == own {
			r.route.link = ownDevice
		}
		switch _, several := s.routes[r.key]; {
		case several:
			duplicates = append(duplicates, duplicate{r.key, r.ours()})
		default:
			s.routes[r.key] = r.ours()
		}
	})
	return duplicates, ignoreNoTable(err)
}

// eachRoute calls each for every route of a table, of any owner, in the order of the dump.
func eachRoute(c *rtnl.Conn, f subnet.Family, table uint32, each func(tableRoute)) error {
	return ignoreNoTable(dumpOnce(c, "routes", requestRoutes(f, table, unix.RTPROT_UNSPEC), func(m rtnl.Message) {
		if r, ok := parseRoute(m, f); ok && r.table == table {
			each(r)
		}
	}))
}

// requestRoutes requests the routes of a table: those of one owner, or all (RTPROT_UNSPEC). The kernel filters. It
// still visits routes of other owners, but we do not receive them.
func requestRoutes(f subnet.Family, table uint32, owner uint8) func(*rtnl.Batch) {
	return func(b *rtnl.Batch) {
		b.Start(unix.RTM_GETROUTE, 0, socketFamily[f], 0, 0, 0, 0, owner, 0, 0, 0, 0, 0, 0)
		b.Uint32(unix.RTA_TABLE, table)
	}
}

// ignoreNoTable ignores that a table does not exist. The kernel makes it with its first route.
func ignoreNoTable(err error) error {
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// eachRule calls each for every routing rule of a family, in the kernel's order of evaluation. A kernel without
// policy routing has none.
func eachRule(c *rtnl.Conn, f subnet.Family, each func(rule)) error {
	err := dumpOnce(c, "rules", func(b *rtnl.Batch) {
		b.Start(unix.RTM_GETRULE, 0, socketFamily[f], 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	}, func(m rtnl.Message) {
		if r, ok := parseRule(m, f); ok {
			each(r)
		}
	})
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT) {
		return nil
	}
	return err
}
