// Package sysctl turns on the kernel settings without which a node does not carry its pods' packets.
package sysctl

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/podlane/podlane/kernel"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/subnet"
)

// root shows the network settings of the thread that opens a file in it.
const root = "/proc/sys/"

// keys are the settings that make a node a router.
var keys = [...]string{
	subnet.IPv4: "net/ipv4/ip_forward",
	subnet.IPv6: "net/ipv6/conf/all/forwarding",
}

// EnableForwarding makes the node forward packets of the families that are asked for. What is already so is not written, so
// that a read-only /proc/sys with the right values does. For IPv4 it also checks the interfaces on which pods' packets
// arrive: the underlay and those that lead to pods. If /proc/sys is read-only, their own settings suffice. It works in the
// network namespace of the thread that calls it. The ops are the writes.
//
// A node that forwards IPv6 ignores router advertisements if accept_ra is 1, the kernel's default. EnableForwarding sets it
// to 2 on the underlay interface, so that the node keeps its addresses and routes. It does so before it turns on
// forwarding, and at every later call, because an interface that is created again has the default. It leaves 0: the
// operator wants none.
func EnableForwarding(v4, v6 bool, underlay string, pods []string) (ops []kernel.Op, err error) {
	if v4 {
		done, fault := enable(subnet.IPv4)
		more, err := forwardFrom(append([]string{underlay}, pods...))
		ops = slices.Concat(done, more)
		if err = errors.Join(unlessForbidden(fault), err); err != nil {
			return ops, err
		}
	}
	if v6 {
		accepted, fault := keepAdvertisements(underlay)
		if fault = unlessForbidden(fault); fault != nil {
			return append(ops, accepted...), fault
		}
		done, err := enable(subnet.IPv6)
		ops = slices.Concat(ops, accepted, done)
		if err != nil {
			return ops, err
		}
		routers, fault := announceRouter(pods)
		return append(ops, routers...), unlessForbidden(fault)
	}
	return ops, nil
}

// announceRouter makes the node a router on the interfaces that lead to pods. net.ipv6.conf.all.forwarding alone decides
// whether IPv6 is forwarded. If an interface's own setting is off, the node does not act as a router there, and accepts
// router advertisements from pods.
func announceRouter(pods []string) (ops []kernel.Op, err error) {
	for _, name := range pods {
		key := "net/ipv6/conf/" + name + "/forwarding"
		off, err := is(key, "0")
		if errors.Is(err, fs.ErrNotExist) || err == nil && !off {
			continue
		}
		if err != nil {
			return ops, err
		}
		op, err := set(key, "1")
		if err != nil {
			return ops, err
		}
		ops = append(ops, op)
	}
	return ops, nil
}

// Advice returns a note if the kernel ignores router advertisements on the underlay interface, because the node forwards
// IPv6 and EnableForwarding may not write to /proc/sys. It is empty otherwise, and if accept_ra is 0.
func Advice(underlay string) string {
	forwards, err := is("net/ipv6/conf/"+underlay+"/forwarding", "1")
	if err != nil || !forwards {
		return ""
	}
	if ignored, err := is(acceptRA(underlay), "1"); err != nil || !ignored {
		return ""
	}
	return fmt.Sprintf("the kernel ignores router advertisements on %s, because this node forwards IPv6; if its addresses or routes come from them, "+
		"run this on the node: sysctl -w %s=2", underlay, dotted(acceptRA(underlay)))
}

// unlessForbidden passes over that a setting could only be read.
func unlessForbidden(err error) error {
	if Forbidden(err) {
		return nil
	}
	return err
}

// Forbidden reports whether a setting could not be written because /proc/sys is read-only, as in a container.
func Forbidden(err error) bool { return errors.Is(err, unix.EROFS) || errors.Is(err, fs.ErrPermission) }

// EnableIPv6 lets an interface have IPv6 addresses, which net.ipv6.conf.default.disable_ipv6 keeps new ones from. It works
// in the network namespace of the thread that calls it.
func EnableIPv6(iface string) (kernel.Op, error) {
	return set("net/ipv6/conf/"+iface+"/disable_ipv6", "0")
}

func enable(f subnet.Family) (ops []kernel.Op, err error) {
	on, err := is(keys[f], "1")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("set %s: the kernel has no %s: %w", dotted(keys[f]), f, err)
	}
	if err != nil || on {
		return nil, err
	}
	op, err := set(keys[f], "1")
	if err != nil {
		return nil, err
	}
	return []kernel.Op{op}, nil
}

// keepAdvertisements sets accept_ra of the underlay interface from 1 to 2. Other interfaces are left alone: behind a
// bridge or a veth are containers, which have no business advertising routes to the node.
func keepAdvertisements(underlay string) ([]kernel.Op, error) {
	ignored, err := is(acceptRA(underlay), "1")
	if errors.Is(err, fs.ErrNotExist) || err == nil && !ignored { // the interface has gone meanwhile, or has no IPv6
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	op, err := set(acceptRA(underlay), "2")
	if err != nil {
		return nil, err
	}
	return []kernel.Op{op}, nil
}

func acceptRA(iface string) string { return "net/ipv6/conf/" + iface + "/accept_ra" }

func is(key, value string) (bool, error) {
	b, err := os.ReadFile(root + key)
	if err != nil {
		return false, fmt.Errorf("read sysctl %s: %w", dotted(key), err)
	}
	return strings.TrimSpace(string(b)) == value, nil
}

func set(key, value string) (kernel.Op, error) {
	err := os.WriteFile(root+key, []byte(value), 0)
	if err == nil {
		var kept bool
		if kept, err = is(key, value); err == nil && !kept {
			err = errors.New("the kernel did not keep it")
		}
	}
	if err != nil {
		return kernel.Op{}, fmt.Errorf("set sysctl %s: %w; run this on the node: sysctl -w %s=%s", dotted(key), err, dotted(key), value)
	}
	return kernel.Op{Verb: "set", Kind: "sysctl", Object: dotted(key) + " = " + value}, nil
}

// dotted is a setting's name as sysctl(8) prints it. A dot in an interface's name becomes a slash there.
func dotted(key string) string {
	return strings.NewReplacer("/", ".", ".", "/").Replace(key)
}
