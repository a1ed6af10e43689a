package flannel

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// flannelNode is a node of the lab that runs flanneld instead of podlaned.
type flannelNode struct {
	*lab.Node
	args   []string // of flanneld: the place of its leases
	env    []string // of flanneld
	daemon *process // nil: never started
}

// file returns the path of a file of the node.
func (n *flannelNode) file(name string) string { return filepath.Join(filepath.Dir(n.LogFile()), name) }

// subnetFile returns the path of flannel's node file. flannel's own folder is /run/flannel.
func (n *flannelNode) subnetFile() string { return n.file("flannel/subnet.env") }

// start starts flanneld with the arguments of flannel's DaemonSet, and waits until it is ready.
func (n *flannelNode) start(t *testing.T) {
	t.Helper()
	n.launch(t)
	n.daemon.await(t, soon, "ready", func() (bool, string) {
		code, body, err := cluster.GetFrom(cluster.Within(t), n.Place, "http://127.0.0.1:8081/readyz")
		return code == 200, fmt.Sprint(body, err)
	})
}

// launch starts flanneld and does not wait for it.
func (n *flannelNode) launch(t *testing.T) {
	t.Helper()
	args := []string{"--iface=eth0", "--ip-masq", "--subnet-file=" + n.subnetFile(), "--healthz-ip=127.0.0.1", "--healthz-port=8081"}
	cmd := n.Command(context.WithoutCancel(t.Context()), flanneld, append(args, n.args...)...)
	cmd.Env = append(cmd.Env, n.env...)
	n.daemon = launch(t, "flanneld on "+n.Name, n.file("flanneld.log"), cmd, n.StartCommand)
}

// subnets returns the values of flannel's node file by their keys.
func (n *flannelNode) subnets(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(n.subnetFile())
	cluster.Check(t, err)
	values := map[string]string{}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		values[key] = value
	}
	return values
}

// awaitPeers waits until flannel has exactly this number of routes to peers, in each family that its network has.
func (n *flannelNode) awaitPeers(t *testing.T, want int) cluster.Elapsed {
	t.Helper()
	return cluster.Until(t, soon, fmt.Sprintf("flannel on %s has %d peers", n.Name, want), func() (bool, string) {
		out, err := n.Run(cluster.Within(t), "sh", "-c", "ip -4 route show dev flannel.1; ip -6 route show dev flannel-v6.1")
		routes, families := strings.Count(out, " via "), 0
		for _, key := range nodeKeys {
			if n.subnets(t)[key] != "" {
				families++
			}
		}
		return routes == want*families, fmt.Sprint(out, err)
	})
}

// nodeKeys are the keys of a node's pod subnets in flannel's node file, by family.
var nodeKeys = [2]string{ipv4: "FLANNEL_SUBNET", ipv6: "FLANNEL_IPV6_SUBNET"}

// key returns the node's pod subnets as in a lease key.
func (n *flannelNode) key(t *testing.T) string {
	t.Helper()
	key, values := "0.0.0.0-0", n.subnets(t)
	for f, name := range nodeKeys {
		if values[name] == "" {
			continue
		}
		gateway, err := netip.ParsePrefix(values[name])
		cluster.Check(t, err)
		half := strings.ReplaceAll(gateway.Masked().String(), "/", "-")
		if f == ipv4 {
			key = half
		} else {
			key += "&" + half
		}
	}
	return key
}

// vteps returns the MAC addresses of a node's VXLAN devices, by IPv4 first: those of flannel or those of podlane.
func vteps(t *testing.T, n *lab.Node, program string) (macs []string) {
	t.Helper()
	for _, device := range []string{program + ".1", program + "-v6.1"} {
		out, err := n.Run(cluster.Within(t), "ip", "-o", "link", "show", device)
		if err != nil { // the network has not this family
			continue
		}
		_, rest, _ := strings.Cut(out, "link/ether ")
		mac, _, _ := strings.Cut(rest, " ")
		macs = append(macs, mac)
	}
	if len(macs) == 0 {
		t.Fatalf("%s has no device of %s", n.Name, program)
	}
	return macs
}
