// Package sysctl turns on the kernel settings that a node needs to forward its pods' packets.
package sysctl

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/kernel"
	"github.com/podlane/podlane/subnet"
)

// procSys is the folder of the settings. A file in it belongs to the network namespace of the thread that opens it.
const procSys = "/proc/sys/"

// keys are the settings that turn on forwarding.
var keys = [...]string{
	subnet.IPv4: "net/ipv4/ip_forward",
	subnet.IPv6: "net/ipv6/conf/all/forwarding",
}

// EnableForwarding makes the node forward packets of the wanted families. It writes only what differs: a read-only /proc/sys with
// the correct values is no error. The ops are the writes. It works in the network namespace of the calling thread.
//
// IPv4: it also turns on forwarding for each interface on which pods' packets arrive: the underlay, and the interfaces that lead
// to pods. It does so through netlink. If /proc/sys is read-only, that is enough.
//
// IPv6: a node that forwards ignores router advertisements if accept_ra is 1. That is the kernel's default. The node would lose
// addresses and routes that come from advertisements. So EnableForwarding first sets accept_ra to 2 on the underlay interface. It
// does so at every call: an interface that is created again has the default. It does not change 0, which the operator chose.
func EnableForwarding(v4, v6 bool, underlay string, pods []string) (ops []kernel.Op, err error) {
	if v4 {
		done, failure := enable(subnet.IPv4)
		more, err := forwardFrom(append([]string{underlay}, pods...))
		ops = slices.Concat(done, more)
		if err = errors.Join(ignoreForbidden(failure), err); err != nil {
			return ops, err
		}
	}
	if v6 {
		accepted, failure := acceptAdvertisements(underlay)
		if failure = ignoreForbidden(failure); failure != nil {
			return append(ops, accepted...), failure
		}
		done, err := enable(subnet.IPv6)
		ops = slices.Concat(ops, accepted, done)
		if err != nil {
			return ops, err
		}
		routers, failure := announceRouter(pods)
		return append(ops, routers...), ignoreForbidden(failure)
	}
	return ops, nil
}

// announceRouter makes the node a router on the interfaces that lead to pods. net.ipv6.conf.all.forwarding alone decides whether
// IPv6 is forwarded. But if an interface's own setting is off, the node accepts router advertisements from pods there.
func announceRouter(pods []string) (ops []kernel.Op, err error) {
	for _, name := range pods {
		key := "net/ipv6/conf/" + name + "/forwarding"
		off, err := has(key, "0")
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

// Advice returns a note if the kernel ignores router advertisements on the underlay interface. The reason is that the node
// forwards IPv6, and EnableForwarding may not write to /proc/sys. Advice is empty otherwise, and if accept_ra is 0.
func Advice(underlay string) string {
	forwards, err := has("net/ipv6/conf/"+underlay+"/forwarding", "1")
	if err != nil || !forwards {
		return ""
	}
	if ignored, err := has(acceptRA(underlay), "1"); err != nil || !ignored {
		return ""
	}
	return fmt.Sprintf("the kernel ignores router advertisements on %s, because this node forwards IPv6; if its addresses or routes come from them, "+
		"run this on the node: sysctl -w %s=2", underlay, dotted(acceptRA(underlay)))
}

// ignoreForbidden returns nil if the error is Forbidden, and otherwise the error.
func ignoreForbidden(err error) error {
	if Forbidden(err) {
		return nil
	}
	return err
}

// Forbidden reports whether an error means that this process may not write to /proc/sys, as in a container.
func Forbidden(err error) bool { return errors.Is(err, unix.EROFS) || errors.Is(err, fs.ErrPermission) }

// EnableIPv6 allows IPv6 addresses on an interface. If net.ipv6.conf.default.disable_ipv6 is 1, new interfaces have none. It works
// in the network namespace of the calling thread.
func EnableIPv6(iface string) (kernel.Op, error) {
	return set("net/ipv6/conf/"+iface+"/disable_ipv6", "0")
}

func enable(f subnet.Family) (ops []kernel.Op, err error) {
	on, err := has(keys[f], "1")
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

// acceptAdvertisements sets accept_ra of the underlay interface from 1 to 2. It does not change other interfaces. Containers behind
// a bridge or a veth must not advertise routes to the node.
func acceptAdvertisements(underlay string) ([]kernel.Op, error) {
	ignored, err := has(acceptRA(underlay), "1")
	if errors.Is(err, fs.ErrNotExist) || err == nil && !ignored { // the interface was deleted, or has no IPv6
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

// has reports whether a setting has this value.
func has(key, value string) (bool, error) {
	b, err := os.ReadFile(procSys + key)
	if err != nil {
		return false, fmt.Errorf("read sysctl %s: %w", dotted(key), err)
	}
	return strings.TrimSpace(string(b)) == value, nil
}

// set writes a setting and reads it again. Its error ends with the command that sets it.
func set(key, value string) (kernel.Op, error) {
	err := os.WriteFile(procSys+key, []byte(value), 0)
	if err == nil {
		var same bool
		if same, err = has(key, value); err == nil && !same {
			err = errors.New("it still has another value")
		}
	}
	if err != nil {
		return kernel.Op{}, fmt.Errorf("set sysctl %s: %w; run this on the node: sysctl -w %s=%s", dotted(key), err, dotted(key), value)
	}
	return kernel.Op{Verb: "set", Kind: "sysctl", Object: dotted(key) + " = " + value}, nil
}

// dotted returns a setting's name as sysctl(8) prints it. A dot in an interface's name becomes a slash there.
func dotted(key string) string {
	return strings.NewReplacer("/", ".", ".", "/").Replace(key)
}
