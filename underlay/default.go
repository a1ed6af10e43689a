package underlay

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/kernel"
	"github.com/podlane/podlane/rtnl"
	"github.com/podlane/podlane/subnet"
)

// defaultRoute returns the interface of the default route with the lowest metric in the main table.
func defaultRoute(f subnet.Family) (int, error) {
	routes, err := dumpRoutes(f, func(m rtnl.Message) (defaultTo, bool) { return parseDefault(m, f) })
	if err != nil {
		return 0, err
	}
	best := defaultTo{}
	for _, r := range routes {
		if best.link == 0 || r.metric < best.metric {
			best = r
		}
	}
	if best.link == 0 {
		return 0, fmt.Errorf("%w for %s by default", ErrNoRoute, f)
	}
	return best.link, nil
}

// dumpRoutes returns the unicast routes of a family in the main table that parse accepts.
func dumpRoutes[T any](f subnet.Family, parse func(rtnl.Message) (T, bool)) (routes []T, err error) {
	conn, err := rtnl.Dial()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	err = kernel.RetryRead(rtnl.ErrInterrupted, func() error {
		routes = nil
		return conn.Dump(routesOf(f), func(m rtnl.Message) {
			if r, ok := parse(m); ok {
				routes = append(routes, r)
			}
		})
	})
	if err != nil && !errors.Is(err, unix.ENOENT) { // ENOENT: no table yet; the first route makes it
		return nil, fmt.Errorf("list routes: %w", err)
	}
	return routes, nil
}

// families maps a family to its number in rtnetlink.
var families = map[subnet.Family]uint8{subnet.IPv4: unix.AF_INET, subnet.IPv6: unix.AF_INET6}

// routesOf requests the unicast routes of the main table. There may be very many.
func routesOf(f subnet.Family) *rtnl.Batch {
	h := make([]byte, unix.SizeofRtMsg)
	h[0] = families[f]
	h[4], h[7] = unix.RT_TABLE_MAIN, unix.RTN_UNICAST
	b := &rtnl.Batch{}
	b.Start(unix.RTM_GETROUTE, 0, h...)
	return b
}

// defaultTo is a default route. The one with the lowest metric wins.
type defaultTo struct {
	link   int
	metric uint32
}

// parseDefault parses a default route of a family. It uses the first of several next hops. It rejects routes of other
// families, which a kernel without IPv6 returns.
func parseDefault(m rtnl.Message, f subnet.Family) (r defaultTo, ok bool) {
	h, attrs, ok := m.Header(unix.SizeofRtMsg)
	if !ok || m.Type != unix.RTM_NEWROUTE || h[0] != families[f] || h[1] != 0 || h[4] != unix.RT_TABLE_MAIN || h[7] != unix.RTN_UNICAST {
		return r, false
	}
	for attrs.Next() {
		switch attrs.Type {
		case unix.RTA_OIF:
			r.link = int(attrs.Uint32())
		case unix.RTA_PRIORITY:
			r.metric = attrs.Uint32()
		case unix.RTA_MULTIPATH:
			if len(attrs.Value) >= unix.SizeofRtNexthop && r.link == 0 {
				r.link = int(binary.NativeEndian.Uint32(attrs.Value[4:]))
			}
		}
	}
	return r, r.link != 0
}
