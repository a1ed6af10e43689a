package promises

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

func TestTwentyNodesStartAtTheSameMoment(t *testing.T) {
	began := time.Now()
	l := cluster.Build(t, lab.Options{Nodes: 20})
	t.Logf("the lab is built after %v", time.Since(began).Round(time.Millisecond))
	expectStart(t, l, lab.DefaultConfig, 20)
	for i, n := range []*lab.Node{l.Nodes[0], l.Nodes[9], l.Nodes[19]} {
		_, err := l.AddPod(cluster.Within(t), n, fmt.Sprintf("p%d", i+1))
		cluster.Check(t, err)
	}
	expectFlat(t, l, cluster.OverlayAddr)
}

// A network has as many pod subnets as nodes. Then one more node starts.
func TestMoreNodesThanPodSubnets(t *testing.T) {
	const nodes = 12
	l := cluster.Build(t, lab.Options{Nodes: nodes + 1})
	late := l.Nodes[nodes]
	expectStart(t, l, fmt.Sprintf(
		`{"Network": "10.5.0.0/16", "SubnetMin": "10.5.1.0", "SubnetMax": "10.5.%d.0", "Backend": {"Type": "vxlan"}}`, nodes), nodes)
	before, watch := cluster.KernelOf(t, l.Nodes[0]), cluster.WatchKernel(t, l.Nodes[0].Place)

	cluster.Check(t, late.Launch(cluster.Within(t)))
	cluster.ExpectExit(t, late, 1, "every pod subnet is taken", "10.5.12.0")
	for _, n := range l.Nodes[:nodes] {
		s, err := cluster.StatusOf(cluster.Within(t), n)
		cluster.Check(t, err)
		if !s.Ready || len(s.Peers) != nodes-1 {
			t.Errorf("%s afterwards: ready %v, %d peers, problems %q; want it ready with %d peers", n.Name, s.Ready, len(s.Peers), s.Problems, nodes-1)
		}
	}
	watch.ExpectNothing(t)
	cluster.ExpectKernel(t, l.Nodes[0], before)
}

// expectStart starts the first nodes of a network at the same moment. Each must get its own pod subnet and program all
// others.
func expectStart(t *testing.T, l *lab.Lab, config string, count int) {
	t.Helper()
	const limit = 20 * time.Second
	cluster.Check(t, l.SetConfig(cluster.Within(t), config))
	began, nodes := time.Now(), l.Nodes[:count]
	var starting errgroup.Group
	for _, n := range nodes {
		starting.Go(func() error { return n.Start(cluster.Bounded(t, limit)) })
	}
	cluster.Check(t, starting.Wait())
	ready := time.Since(began)
	for _, n := range nodes {
		cluster.AwaitStatus(t, n, limit, fmt.Sprintf("%d peers", count-1), func(s cluster.Status) bool { return s.Ready && len(s.Peers) == count-1 })
	}
	cluster.DistinctSubnets(t, nodes)
	t.Logf("%d nodes: all ready after %v, all with all peers after %v", count, ready.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	for _, n := range nodes {
		if routes := cluster.Run(t, n.Place, "ip route show proto 112"); strings.Count(routes, "\n") != count-1 {
			t.Errorf("%s: want %d routes:\n%s", n.Name, count-1, routes)
		}
		if !n.Running() {
			t.Errorf("podlaned on %s has exited", n.Name)
		}
	}
}
