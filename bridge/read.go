package bridge

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/kernel"
	"github.com/podlane/podlane/rtnl"
	"github.com/podlane/podlane/subnet"
)

const (
	kind = "bridge"
	// filterSkipStats is RTEXT_FILTER_SKIP_STATS of linux/rtnetlink.h: omit the counters.
	filterSkipStats = 1 << 3
	devconfNoIPv6   = 27 // DEVCONF_DISABLE_IPV6 of linux/ipv6.h, counted from 1
)

// visibleAttr is the attribute that makes iptables and nftables see the packets that one bridge forwards (linux/if_link.h).
var visibleAttr = [...]uint16{subnet.IPv4: unix.IFLA_BR_NF_CALL_IPTABLES, subnet.IPv6: unix.IFLA_BR_NF_CALL_IP6TABLES}

// read reads the bridges with their addresses, and the interfaces that may lead to pods.
func read(c *rtnl.Conn) (s snapshot, err error) {
	err = dump(c, "interfaces", func(b *rtnl.Batch) {
		b.Start(unix.RTM_GETLINK, 0, make([]byte, unix.SizeofIfInfomsg)...)
		b.Uint32(unix.IFLA_EXT_MASK, filterSkipStats)
	}, func() { s = snapshot{} }, s.addLink)
	if err != nil || len(s.bridges) == 0 {
		return s, err
	}
	addrs := map[int][]netip.Prefix{}
	err = dump(c, "addresses", func(b *rtnl.Batch) {
		b.Start(unix.RTM_GETADDR, 0, make([]byte, unix.SizeofIfAddrmsg)...)
	}, func() { clear(addrs) }, func(m rtnl.Message) {
		if p, index, ok := parseAddress(m); ok {
			addrs[index] = append(addrs[index], p)
		}
	})
	for i, d := range s.bridges {
		s.bridges[i].addrs = addrs[d.index]
	}
	slices.SortFunc(s.bridges, func(a, b device) int { return a.index - b.index })
	return s, err
}

// dump repeats a read until no change interrupts it.
func dump(c *rtnl.Conn, what string, request func(*rtnl.Batch), start func(), each func(rtnl.Message)) error {
	err := kernel.RetryRead(rtnl.ErrInterrupted, func() error {
		var b rtnl.Batch
		request(&b)
		start()
		return c.Dump(&b, each)
	})
	if err != nil {
		return fmt.Errorf("read %s: %w", what, err)
	}
	return nil
}

// addLink reads RTM_NEWLINK.
func (s *snapshot) addLink(m rtnl.Message) {
	h, attrs, ok := m.Header(unix.SizeofIfInfomsg)
	if !ok || m.Type != unix.RTM_NEWLINK || h[0] != unix.AF_UNSPEC {
		return
	}
	d := device{index: int(binary.NativeEndian.Uint32(h[4:])), up: binary.NativeEndian.Uint32(h[8:])&unix.IFF_UP != 0}
	var p port
	kindOf := ""
	for attrs.Next() {
		switch attrs.Type {
		case unix.IFLA_IFNAME:
			d.name = attrs.Text()
		case unix.IFLA_MASTER:
			p.master = int(attrs.Uint32())
		case unix.IFLA_LINK_NETNSID:
			p.veth = true
		case unix.IFLA_LINKINFO:
			kindOf = d.parseInfo(attrs.Nested())
		case unix.IFLA_AF_SPEC:
			d.parseSettings(attrs.Nested())
		}
	}
	if kindOf == kind {
		s.bridges = append(s.bridges, d)
	}
	p.name, p.veth = d.name, p.veth && kindOf == "veth"
	if p.veth || p.master != 0 {
		s.ports = append(s.ports, p)
	}
}

// parseInfo reads IFLA_LINKINFO and returns the kind. The kernel puts the kind first.
func (d *device) parseInfo(attrs rtnl.Attrs) (kindOf string) {
	for attrs.Next() {
		switch {
		case attrs.Type == unix.IFLA_INFO_KIND:
			kindOf = attrs.Text()
		case attrs.Type == unix.IFLA_INFO_DATA && kindOf == kind:
			for data := attrs.Nested(); data.Next(); {
				for f, attr := range visibleAttr {
					if data.Type == attr {
						d.visible[f] = data.Uint8() != 0
					}
				}
			}
		}
	}
	return kindOf
}

func (d *device) parseSettings(families rtnl.Attrs) {
	for families.Next() {
		if families.Type != unix.AF_INET6 {
			continue
		}
		for inner := families.Nested(); inner.Next(); {
			if v, ok := inner.Array32(devconfNoIPv6); ok && inner.Type == unix.IFLA_INET6_CONF {
				d.noIPv6 = v != 0
			}
		}
	}
}

// parseAddress reads RTM_NEWADDR.
func parseAddress(m rtnl.Message) (p netip.Prefix, index int, ok bool) {
	h, attrs, ok := m.Header(unix.SizeofIfAddrmsg)
	if !ok || m.Type != unix.RTM_NEWADDR {
		return p, 0, false
	}
	var addr netip.Addr
	for attrs.Next() {
		if attrs.Type == unix.IFA_LOCAL || attrs.Type == unix.IFA_ADDRESS && !addr.IsValid() {
			addr = attrs.Addr()
		}
	}
	p = netip.PrefixFrom(addr, int(h[1]))
	return p, int(binary.NativeEndian.Uint32(h[4:])), p.IsValid()
}
