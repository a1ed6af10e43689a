package promises

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// otherPrograms sets up what other programs have on a node. Forwarding is part of it: podlaned would enable it. cleanup
// leaves it on, because another program may need it.
var otherPrograms = []string{
	"sysctl -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1",
	"ip link add vxlan7 type vxlan id 7 dstport 4790 local 198.18.1.1 dev eth0",
	"ip address add 192.0.2.1/24 dev vxlan7",
	"ip link set vxlan7 up",
	"bridge fdb append 02:00:00:00:00:07 dev vxlan7 dst 198.18.1.2",
	"ip neigh add 192.0.2.7 lladdr 02:00:00:00:00:07 dev vxlan7 nud permanent",
	"ip route add 10.6.0.0/16 via 198.18.0.1",
	"ip route add 10.7.0.0/16 dev vxlan7 proto 111",
	"ip route add 10.8.0.0/16 via 198.18.0.1 proto 112 table 200",
	"ip route add blackhole 10.9.0.0/16",
	"ip rule add from 10.9.0.0/16 table 200",
	"nft add table inet other",
	"nft add chain inet other forward { type filter hook forward priority 0 ; policy accept ; }",
	"nft add rule inet other forward ip saddr 10.9.0.0/16 drop",
	"nft add table ip podlane-other",
	"iptables -P FORWARD DROP",
	"iptables -A FORWARD -s 10.6.0.0/16 -j ACCEPT",
	"iptables -A FORWARD -s 10.7.0.0/16 -m comment --comment other -j ACCEPT",
	"ip6tables -P FORWARD DROP",
	"ip -6 route add fd00:8::/48 via fd98:18::1 proto 112 table 200",
	"iptables -t nat -A POSTROUTING -s 10.6.0.0/16 -j MASQUERADE",
}

// snapshotScript prints all of a node's kernel that podlane could change. It omits resolved neighbours, which change by
// themselves.
const snapshotScript = `
ip -d link
ip address
ip rule
ip route show table all
ip -6 route show table all
bridge fdb
ip neigh show nud permanent
ip -6 rule
nft -s list ruleset
`

// timers are the running times of a bridge's timers.
var timers = regexp.MustCompile(`(?m)_timer +\d+\.\d+`)

func snapshot(t *testing.T, n *lab.Node) string {
	t.Helper()
	out, err := n.Run(cluster.Within(t), "sh", "-c", snapshotScript)
	cluster.Check(t, err)
	return timers.ReplaceAllString(out, "_timer")
}

func TestCleanupRemovesOnlyPodlanesState(t *testing.T) {
	conf := "/run/cni-conf/10-podlane.conflist"
	l := cluster.Build(t, lab.Options{Nodes: 2, IPv6: true, Config: cluster.DualStack, NodeEnv: func(i int) []string {
		if i == 1 {
			return []string{"PODLANE_CNI_CONF=" + conf}
		}
		return nil
	}})
	t.Cleanup(func() { cluster.Check(t, os.RemoveAll(filepath.Dir(conf))) })
	n := l.Nodes[0]
	for _, c := range otherPrograms {
		cluster.Run(t, n.Place, c)
	}
	before := snapshot(t, n)
	cluster.Check(t, l.StartAll(cluster.Within(t)))
	cluster.AwaitPeers(t, l, within5, 1)
	during, ours := snapshot(t, n), cluster.KernelOf(t, n)
	for _, mark := range []string{"podlane.1", "podlane-v6.1", "proto 112", "table inet podlane", `comment "podlane"`} {
		if !strings.Contains(cluster.Differences(before, during), mark) {
			t.Errorf("want %s while podlaned runs", mark)
		}
	}
	for _, file := range []string{n.NodeFile(), conf} {
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	}

	if output := cluster.RunFails(t, n.Place, "podlaned cleanup"); !strings.Contains(output, "another podlaned runs on this node") {
		t.Errorf("cleanup while podlaned runs: want that it is refused: %s", output)
	}
	expectSnapshot(t, n, during, "cleanup was refused")
	cluster.Stop(t, n)
	expectSnapshot(t, n, during, "podlaned has ended")
	output := cluster.Run(t, n.Place, "podlaned cleanup")
	for _, removed := range []string{
		"podlane.1", "podlane-v6.1", "table inet podlane", "rule ip filter FORWARD", "rule ip6 filter FORWARD", "subnet.env", "state.json", conf,
	} {
		if !strings.Contains(output, removed) {
			t.Errorf("cleanup does not report %s; output:\n%s", removed, output)
		}
	}
	expectSnapshot(t, n, before, "cleanup")
	for _, path := range []string{filepath.Dir(n.NodeFile()), n.StateDir(), conf} {
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("%s is left after cleanup: %v", path, err)
		}
	}
	if again := cluster.Run(t, n.Place, "podlaned cleanup"); again != "" {
		t.Errorf("cleanup again: want no output: %s", again)
	}
	expectSnapshot(t, n, before, "cleanup again")
	cluster.Check(t, n.Start(cluster.Within(t)))
	cluster.AwaitPeers(t, l, within5, 1)
	cluster.ExpectKernel(t, n, ours)
}

// expectSnapshot compares all that podlane could change with what it was.
func expectSnapshot(t *testing.T, n *lab.Node, want, after string) {
	t.Helper()
	if now := snapshot(t, n); now != want {
		t.Errorf("after %s the kernel differs:\n%s", after, cluster.Differences(want, now))
	}
}

// A pod's device, the bridge and its addresses belong to the CNI plugins. They survive a cleanup.
func TestCleanupLeavesPods(t *testing.T) {
	l := cluster.Start(t, lab.Options{Nodes: 1}, 2)
	n, pods := l.Nodes[0], l.Pods()
	cluster.Stop(t, n)
	cluster.Run(t, n.Place, "podlaned cleanup")
	if _, err := pods[0].Ping(cluster.Within(t), pods[1].Addrs[0], 1); err != nil {
		t.Errorf("ping between pods of one node: %v", err)
	}
	for _, p := range pods {
		cluster.Check(t, p.Delete(cluster.Within(t)))
	}
}

func TestSecondPodlanedOnANodeIsRefused(t *testing.T) {
	l := cluster.Start(t, lab.Options{Nodes: 2}, 0)
	cluster.AwaitPeers(t, l, within5, 1)
	n := l.Nodes[0]
	before, watch := cluster.KernelOf(t, n), cluster.WatchKernel(t, n.Place)
	for _, second := range []string{"podlaned run", "podlaned run --run-dir /run/x/run --state-dir /run/x/state", "podlaned cleanup --run-dir /run/x/run"} {
		if output := cluster.RunFails(t, n.Place, second); !strings.Contains(output, "another podlaned runs on this node: its process is ") {
			t.Errorf("%s: want that it is refused: %s", second, output)
		}
	}
	watch.ExpectNothing(t)
	cluster.ExpectKernel(t, n, before)
	s, err := cluster.StatusOf(cluster.Within(t), n)
	cluster.Check(t, err)
	if !s.Ready || !n.Running() {
		t.Errorf("the first podlaned: ready %v, running %v, problems %q; want both", s.Ready, n.Running(), s.Problems)
	}
}
