package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// Another program changes the bridge of the first node's pods, or an interface on the way to it.
var bridgeFaults = []fault{
	bridgeFault("bridge down", "set link cni0 up", everything, "ip link set cni0 down"),
	bridgeFault("bridge without its addresses", "dev cni0", everything, "ip address flush dev cni0"),
	bridgeFault("bridge without IPv6", "disable_ipv6", path{2, "6", true}, "sysctl -w net.ipv6.conf.cni0.disable_ipv6=1"),
	bridgeFault("bridge down and without its addresses", "dev cni0", everything, "ip address flush dev cni0", "ip link set cni0 down"),
	bridgeFault("bridge does not forward", "net.ipv4.conf.cni0.forwarding = 1", peers4, "sysctl -w net.ipv4.conf.cni0.forwarding=0"),
	bridgeFault("bridge is no IPv6 router", "net.ipv6.conf.cni0.forwarding = 1", nothing, "sysctl -w net.ipv6.conf.cni0.forwarding=0"),
	bridgeFault("underlay does not forward", "net.ipv4.conf.eth0.forwarding = 1", nothing, "sysctl -w net.ipv4.conf.eth0.forwarding=0"),
	{"bridge down while podlaned is away", func(t *testing.T, b *bed) {
		n := b.Nodes[0]
		before := bridgeOf(t, n)
		b.saveBridge(t, n)
		cluster.Stop(t, n)
		cluster.Run(t, n.Place, "ip address flush dev cni0")
		cluster.Run(t, n.Place, "ip link set cni0 down")
		cluster.Check(t, n.Start(cluster.Within(t)))
		awaitBridge(t, n, before)
	}},
	{"router advertisements ignored", func(t *testing.T, b *bed) {
		n := b.Nodes[0]
		cluster.Run(t, n.Place, "sysctl -w net.ipv6.conf.eth0.accept_ra=1") // as on an interface that was created again
		cluster.Run(t, n.Place, "ip link set eth0 txqueuelen 999")          // the kernel notifies podlaned of this
		cluster.Until(t, second, "accept_ra is 2", func() (bool, string) {
			got := cluster.Run(t, n.Place, "sysctl -n net.ipv6.conf.eth0.accept_ra")
			return strings.TrimSpace(got) == "2", got
		})
	}},
	{"bridge deleted", deleteBridge},
	{"rule for the node's own address", divertNode},
}

// bridgeFault is a fault that podlaned repairs within a second. It counts and names the repair.
func bridgeFault(name, word string, cuts path, commands ...string) fault {
	return fault{name, func(t *testing.T, b *bed) {
		n := b.Nodes[0]
		before, err := cluster.StatusOf(cluster.Within(t), n)
		cluster.Check(t, err)
		was := bridgeOf(t, n)
		whole, cut := b.floodAround(t, cuts)
		for _, c := range commands {
			cluster.Run(t, n.Place, c)
		}
		awaitBridge(t, n, was)
		cut.ExpectGap(t, second)
		whole.ExpectNothingLost(t)
		cluster.AwaitStatus(t, n, soon, "a repair of "+word, func(s cluster.Status) bool {
			return s.Ready && len(s.Problems) == 0 && s.Repaired > before.Repaired && hasRepair(s, before.Verified, word)
		})
	}}
}

// bridgeOf returns the state of a node's bridge. It includes the forwarding settings of the bridge and the underlay.
func bridgeOf(t *testing.T, n *lab.Node) string {
	t.Helper()
	return cluster.Run(t, n.Place, "ip -o address show dev cni0 scope global") + cluster.Run(t, n.Place, "ip -o link show dev cni0 up") +
		cluster.Run(t, n.Place, "sysctl net.ipv6.conf.cni0.forwarding net.ipv4.conf.cni0.forwarding net.ipv4.conf.eth0.forwarding") +
		cluster.Run(t, n.Place, "nft list set inet podlane pod_interfaces")
}

func awaitBridge(t *testing.T, n *lab.Node, want string) {
	t.Helper()
	lines := func(text string) []string {
		var all []string
		for line := range strings.Lines(text) {
			all = append(all, strings.ReplaceAll(strings.TrimSpace(line), " nodad", ""))
		}
		slices.Sort(all)
		return all
	}
	cluster.Until(t, second, n.Name+": the bridge is as it was", func() (bool, string) {
		got := bridgeOf(t, n)
		return slices.Equal(lines(got), lines(want)), cluster.Differences(want, got)
	})
}

// saveBridge waits until the saved state contains the bridge.
func (b *bed) saveBridge(t *testing.T, n *lab.Node) {
	t.Helper()
	cluster.Until(t, soon, n.Name+": the bridge is saved", func() (bool, string) {
		text, _ := os.ReadFile(filepath.Join(n.StateDir(), "state.json")) // it may be replaced while it is read
		return strings.Contains(string(text), `"cni0"`), string(text)
	})
}

// deleteBridge deletes the bridge. Only a new ADD attaches the pods again: podlaned names them.
func deleteBridge(t *testing.T, b *bed) {
	n, pods := b.Nodes[0], b.podsOf(b.Nodes[0])
	cluster.Check(t, os.MkdirAll("/var/lib/cni/networks", 0o755))
	cluster.Check(t, os.Symlink(filepath.Join(n.IPAMDir(), "podlane"), "/var/lib/cni/networks/of-"+n.Name))
	t.Cleanup(func() { cluster.Check(t, os.Remove("/var/lib/cni/networks/of-"+n.Name)) })
	cluster.Run(t, n.Place, "ip link delete cni0")
	s := awaitProblem(t, n, "the bridge cni0 was deleted, which cut off these pods: ")
	for _, p := range pods {
		for _, a := range p.Addrs {
			if !strings.Contains(s, a.String()) {
				t.Errorf("the problem does not name %s: %s", a, s)
			}
		}
	}
	if set := cluster.Run(t, n.Place, "nft list set inet podlane pod_interfaces"); !strings.Contains(set, `"cni0"`) {
		t.Errorf("the firewall does not have the bridge: %s", set)
	}
	cluster.Check(t, pods[0].Delete(cluster.Within(t)))
	_, err := b.AddPod(cluster.Within(t), n, pods[0].Name)
	cluster.Check(t, err)
	awaitProblem(t, n, "cut off these pods: "+pods[1].Addrs[0].String())
	cluster.Check(t, pods[1].Delete(cluster.Within(t)))
	_, err = b.AddPod(cluster.Within(t), n, pods[1].Name)
	cluster.Check(t, err)
	cluster.AwaitStatus(t, n, soon, "no problem", func(s cluster.Status) bool { return s.Ready && len(s.Problems) == 0 })
}

// awaitProblem waits until a node's status has a problem that contains words, and returns the problem.
func awaitProblem(t *testing.T, n *lab.Node, words string) (problem string) {
	t.Helper()
	cluster.AwaitStatus(t, n, soon, "a problem: "+words, func(s cluster.Status) bool {
		i := slices.IndexFunc(s.Problems, func(p string) bool { return strings.Contains(p, words) })
		if i >= 0 {
			problem = s.Problems[i]
		}
		return i >= 0
	})
	return problem
}

// divertNode adds a rule as cloud-init does for each interface. Its table contains only the underlay and the default
// route.
func divertNode(t *testing.T, b *bed) {
	n, words := b.Nodes[0], b.wordsOf(t)
	for _, c := range []struct{ ip, rule, underlay, gateway, pods string }{
		{"ip", "from HOST4 lookup 101", "198.18.0.0/16", "198.18.1.77", "10.5.0.0/16"},
		{"ip", "iif lo lookup 101", "198.18.0.0/16", "198.18.1.77", "10.5.0.0/16"},
		{"ip -6", "from HOST6 lookup 101", "fd98:18::/64", "fd98:18::177", "fd00:5::/48"},
	} {
		reach := func() error {
			for _, a := range b.podsOf(b.Nodes[1])[0].Addrs {
				host := cluster.UnderlayAddr(t, n, a)
				if host.Is4() == (c.ip == "ip") {
					if out, err := n.Run(cluster.Within(t), "ping", "-c1", "-W1", "-I", host.String(), a.String()); err != nil {
						return fmt.Errorf("%s: %w", out, err)
					}
				}
			}
			return nil
		}
		cluster.Check(t, reach())
		cluster.Run(t, n.Place, c.ip+" route add "+c.underlay+" dev eth0 table 101")
		cluster.Run(t, n.Place, c.ip+" route add default via "+c.gateway+" dev eth0 table 101")
		cluster.Run(t, n.Place, words.Replace(c.ip+" rule add pref 1000 "+c.rule))
		if reach() == nil {
			t.Errorf("with the rule %s pods are still reachable", c.rule)
		}
		fix := c.ip + " rule add pref 999 to " + c.pods + " lookup main"
		awaitProblem(t, n, "diverts traffic to pods before the main table; add a rule before it: "+fix)
		cluster.Run(t, n.Place, fix)
		cluster.AwaitStatus(t, n, soon, "no problem", func(s cluster.Status) bool { return s.Ready && len(s.Problems) == 0 })
		if err := reach(); err != nil {
			t.Errorf("%s: %v", c.rule, err)
		}
		cluster.Run(t, n.Place, c.ip+" rule del pref 999")
		cluster.Run(t, n.Place, c.ip+" rule del pref 1000")
		cluster.Run(t, n.Place, c.ip+" route flush table 101")
	}
}

func TestBridge(t *testing.T) { runFaults(t, bridgeFaults) }
