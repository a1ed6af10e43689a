package sysctl

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/podlane/podlane/kernel"

	"github.com/podlane/podlane/subnet"
)

// bridgeKeys are the settings by which the host's firewall sees what goes from one port of a bridge to another. They are of
// the network namespace from Linux 5.3 on, and there as long as the module br_netfilter is loaded.
var bridgeKeys = [...]string{
	subnet.IPv4: "net/bridge/bridge-nf-call-iptables",
	subnet.IPv6: "net/bridge/bridge-nf-call-ip6tables",
}

// HasBridgeNetfilter reports whether the kernel module br_netfilter is loaded.
func HasBridgeNetfilter() bool {
	_, err := os.Stat(root + bridgeKeys[subnet.IPv4])
	return err == nil
}

// EnableBridgeNetfilter makes the firewall see what pods of this node send each other. kube-proxy needs it: the answer of
// a pod to a Service's client on the same node would not be translated back, and the client would wait in vain. It works
// in the network namespace of the thread that calls it. The ops are what was written.
func EnableBridgeNetfilter(v4, v6 bool) (ops []kernel.Op, err error) {
	for f, wanted := range [...]bool{subnet.IPv4: v4, subnet.IPv6: v6} {
		if !wanted {
			continue
		}
		on, err := is(bridgeKeys[f], "1")
		if errors.Is(err, fs.ErrNotExist) {
			return ops, fmt.Errorf("the kernel module br_netfilter is not loaded: %w; run this on the node: modprobe br_netfilter", err)
		}
		if err != nil {
			return ops, err
		}
		if on {
			continue
		}
		op, err := set(bridgeKeys[f], "1")
		if err != nil {
			return ops, err
		}
		ops = append(ops, op)
	}
	return ops, nil
}
