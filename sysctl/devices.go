package sysctl

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/podlane/podlane/kernel"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// devconfForwarding is IPV4_DEVCONF_FORWARDING of linux/ip.h.
const devconfForwarding = 1

// forwardFrom makes the node forward the IPv4 packets that come by the interfaces named: what counts is each interface's own
// setting, of which net.ipv4.ip_forward is only the common one. It is set by netlink (IFLA_INET_CONF, Linux 2.6.37), which
// works where /proc/sys is read-only, as it is in a container. One that does not exist is passed over.
func forwardFrom(interfaces []string) (ops []kernel.Op, err error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	defer func() { _ = conn.Close() }() // nothing is buffered
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

// forward turns on one interface's forwarding, and tells whether it was off.
func forward(conn *netlink.Conn, name string) (set bool, err error) {
	found, err := conn.Execute(link(unix.RTM_GETLINK, 0, name, nil))
	if err != nil || len(found) == 0 {
		return false, err
	}
	if on, err := forwards(found[0].Data); err != nil || on {
		return false, err
	}
	_, err = conn.Execute(link(unix.RTM_SETLINK, netlink.Acknowledge, name, func(ae *netlink.AttributeEncoder) error {
		ae.Uint32(devconfForwarding, 1)
		return nil
	}))
	return err == nil, err
}

// link is a message about an interface, with settings for its IPv4.
func link(kind netlink.HeaderType, flags netlink.HeaderFlags, name string, settings func(*netlink.AttributeEncoder) error) netlink.Message {
	ae := netlink.NewAttributeEncoder()
	ae.String(unix.IFLA_IFNAME, name)
	if settings != nil {
		ae.Nested(unix.IFLA_AF_SPEC, func(ae *netlink.AttributeEncoder) error {
			ae.Nested(unix.AF_INET, func(ae *netlink.AttributeEncoder) error {
				ae.Nested(unix.IFLA_INET_CONF, settings)
				return nil
			})
			return nil
		})
	}
	attributes, _ := ae.Encode() // a name and a number: it cannot fail
	return netlink.Message{
		Header: netlink.Header{Type: kind, Flags: netlink.Request | flags},
		Data:   append(make([]byte, unix.SizeofIfInfomsg), attributes...),
	}
}

// forwards tells whether an interface, as the kernel describes it, forwards IPv4, or has none.
func forwards(message []byte) (on bool, err error) {
	if len(message) < unix.SizeofIfInfomsg {
		return false, errors.New("the kernel's answer is too short")
	}
	ad, err := netlink.NewAttributeDecoder(message[unix.SizeofIfInfomsg:])
	if err != nil {
		return false, err
	}
	on = true
	inside := func(kind uint16, do func(*netlink.AttributeDecoder) error) func(*netlink.AttributeDecoder) error {
		return func(ad *netlink.AttributeDecoder) error {
			for ad.Next() {
				if ad.Type() == kind {
					if err := do(ad); err != nil {
						return err
					}
				}
			}
			return ad.Err()
		}
	}
	err = inside(unix.IFLA_AF_SPEC, func(ad *netlink.AttributeDecoder) error {
		ad.Nested(inside(unix.AF_INET, func(ad *netlink.AttributeDecoder) error {
			ad.Nested(inside(unix.IFLA_INET_CONF, func(ad *netlink.AttributeDecoder) error {
				// an array of numbers, counted from 1
				if b := ad.Bytes(); len(b) >= 4*devconfForwarding {
					on = binary.NativeEndian.Uint32(b[4*(devconfForwarding-1):]) != 0
				}
				return nil
			}))
			return nil
		}))
		return nil
	})(ad)
	return on, err
}
