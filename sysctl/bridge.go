package sysctl

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/podlane/podlane/kernel"
	"github.com/podlane/podlane/subnet"
)

// bridgeKeys are the settings that make the node's firewall see the packets between ports of a bridge. They exist while the
// module br_netfilter is loaded. Since Linux 5.3 each network namespace has its own.
var bridgeKeys = [...]string{
	subnet.IPv4: "net/bridge/bridge-nf-call-iptables",
	subnet.IPv6: "net/bridge/bridge-nf-call-ip6tables",
}

// HasBridgeNetfilter reports whether the kernel module br_netfilter is loaded.
func HasBridgeNetfilter() bool {
	_, err := os.Stat(procSys + bridgeKeys[subnet.IPv4])
	return err == nil
}

// EnableBridgeNetfilter makes the node's firewall see the packets between pods of this node. kube-proxy needs that. A pod of a
// Service may answer a client on the same node. If the firewall does not see the answer, nothing translates its address back,
// and the client discards it. EnableBridgeNetfilter works in the network namespace of the calling thread. The ops are the writes.
func EnableBridgeNetfilter(v4, v6 bool) (ops []kernel.Op, err error) {
	for f, wanted := range [...]bool{subnet.IPv4: v4, subnet.IPv6: v6} {
		if !wanted {
			continue
		}
		on, err := has(bridgeKeys[f], "1")
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
