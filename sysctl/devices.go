package sysctl

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/kernel"
	"github.com/podlane/podlane/rtnl"
)

// devconfForwarding is IPV4_DEVCONF_FORWARDING of linux/ip.h.
const devconfForwarding = 1

// forwardFrom turns on IPv4 forwarding for packets that arrive on the named interfaces. Each interface has its own setting;
// net.ipv4.ip_forward sets all of them. forwardFrom uses netlink (IFLA_INET_CONF, Linux 2.6.37), which works even if
// /proc/sys is read-only, as in a container. It ignores interfaces that do not exist.
func forwardFrom(interfaces []string) (ops []kernel.Op, err error) {
	conn, err := rtnl.Dial()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	for _, name := range interfaces {
		set, err := forward(conn, name)
		if errors.Is(err, unix.ENODEV) {
			continue
		}
		if err != nil {
			return ops, fmt.Errorf("set net.ipv4.conf.%s.forwarding: %w", dotted(name), err)
		}
		if set {
			ops = append(ops, kernel.Op{Verb: "set", Kind: "sysctl", Object: "net.ipv4.conf." + dotted(name) + ".forwarding = 1"})
		}
	}
	return ops, nil
}

// forward turns on forwarding of one interface. set reports whether it was off.
func forward(conn *rtnl.Conn, name string) (set bool, err error) {
	on := true
	b := linkRequest(unix.RTM_GETLINK, name)
	if err := conn.Get(b, func(m rtnl.Message) { on = forwards(m) }); err != nil || on {
		return false, err
	}
	b = linkRequest(unix.RTM_SETLINK, name)
	b.Nest(unix.IFLA_AF_SPEC, func() {
		b.Nest(unix.AF_INET, func() {
			b.Nest(unix.IFLA_INET_CONF, func() { b.Uint32(devconfForwarding, 1) })
		})
	})
	err = conn.Get(b, func(rtnl.Message) {})
	return err == nil, err
}

func linkRequest(kind uint16, name string) *rtnl.Batch {
	b := &rtnl.Batch{}
	b.Start(kind, 0, make([]byte, unix.SizeofIfInfomsg)...)
	b.String(unix.IFLA_IFNAME, name)
	return b
}

// forwards reports whether an interface forwards IPv4. It is true for an interface without IPv4 settings.
func forwards(m rtnl.Message) bool {
	_, attrs, _ := m.Header(unix.SizeofIfInfomsg)
	for attrs.Next() {
		if attrs.Type != unix.IFLA_AF_SPEC {
			continue
		}
		for families := attrs.Nested(); families.Next(); {
			for inner := families.Nested(); families.Type == unix.AF_INET && inner.Next(); {
				if v, ok := inner.Array32(devconfForwarding); ok && inner.Type == unix.IFLA_INET_CONF {
					return v != 0
				}
			}
		}
	}
	return true
}
