package kubestore

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// flannel is the prefix of the annotations.
const flannel = "flannel.alpha.coreos.com/"

// expectProblem waits until the problems of a node's status contain all words.
func expectProblem(t *testing.T, n *lab.Node, limit time.Duration, words ...string) {
	t.Helper()
	cluster.AwaitStatus(t, n, limit, fmt.Sprintf("a problem with %q", words), func(s cluster.Status) bool { return containsAll(strings.Join(s.Problems, "\n"), words) })
	s, err := cluster.StatusOf(cluster.Within(t), n)
	cluster.Check(t, err)
	t.Logf("%s: %s", n.Name, strings.Join(s.Problems, "; "))
}

// expectNote is expectProblem for the notes.
func expectNote(t *testing.T, n *lab.Node, limit time.Duration, words ...string) {
	t.Helper()
	cluster.AwaitStatus(t, n, limit, fmt.Sprintf("a note with %q", words), func(s cluster.Status) bool { return containsAll(strings.Join(s.Notes, "\n"), words) })
}

func containsAll(text string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// expectProblems is expectProblem for several nodes.
func expectProblems(t *testing.T, nodes []*lab.Node, limit time.Duration, words ...string) {
	t.Helper()
	for _, n := range nodes {
		expectProblem(t, n, limit, words...)
	}
}

// expectAttach attaches a new pod to a node. The pod must reach a pod of another node.
func (b *bed) expectAttach(t *testing.T, n *lab.Node) {
	t.Helper()
	p, err := b.AddPod(cluster.Within(t), n, "meanwhile")
	cluster.Check(t, err)
	_, err = p.Ping(cluster.Within(t), cluster.PodsOf(b.Lab, b.Nodes[n.Index%len(b.Nodes)])[0].Addrs[0], 1)
	cluster.Check(t, err)
	cluster.Check(t, p.Delete(cluster.Within(t)))
}

// routesTo returns the routes of a node to a pod subnet.
func routesTo(t *testing.T, n *lab.Node, p netip.Prefix) string {
	t.Helper()
	family := "-4"
	if p.Addr().Is6() {
		family = "-6"
	}
	return strings.TrimSpace(cluster.Run(t, n.Place, fmt.Sprintf("ip %s route show %s proto 112", family, p)))
}

// halves returns a node's pod subnets.
func halves(t *testing.T, n *lab.Node) []netip.Prefix {
	t.Helper()
	pair, err := n.Subnet()
	cluster.Check(t, err)
	return []netip.Prefix{pair.IPv4, pair.IPv6}
}

// processes are the ids of the daemons. A crash changes them.
func processes(nodes []*lab.Node) (ids []int) {
	for _, n := range nodes {
		ids = append(ids, n.PID(), n.FeederPID())
	}
	return ids
}

// startNodes starts both daemons of nodes and waits until they are ready.
func startNodes(t *testing.T, nodes ...*lab.Node) {
	t.Helper()
	var all errgroup.Group
	for _, n := range nodes {
		if !n.FeederRunning() {
			cluster.Check(t, n.LaunchFeeder(cluster.Within(t)))
		}
		all.Go(func() error {
			if n.Running() {
				return n.Ready(cluster.Within(t))
			}
			return n.Start(cluster.Within(t))
		})
	}
	cluster.Check(t, all.Wait())
}

// announceForeign makes a Node that announces itself like flannel's. No machine belongs to it.
func (b *bed) announceForeign(name, podCIDR string, changes ...string) {
	b.API.SetNode(name, podCIDR)
	b.API.Annotate(name, append([]string{
		flannel + "kube-subnet-manager", "true",
		flannel + "backend-type", "vxlan",
		flannel + "backend-data", `{"VNI":1,"VtepMAC":"ba:11:22:33:44:55"}`,
		flannel + "public-ip", "198.18.7.1",
	}, changes...)...)
}

// channelSocket returns the path of a node's channel.
func channelSocket(n *lab.Node) string {
	return filepath.Join(filepath.Dir(n.NodeFile()), "channel.sock")
}

// forget stops the daemons of a node, and makes it as if podlane had never run on it.
func forget(t *testing.T, n *lab.Node) {
	t.Helper()
	cluster.Check(t, n.Reboot(cluster.Within(t)))
	cluster.Check(t, os.RemoveAll(n.StateDir()))
}

// apiAddress returns the address of the API server.
func apiAddress(l *lab.Lab) netip.Addr { return netip.MustParseAddrPort(l.API.Address()).Addr() }
