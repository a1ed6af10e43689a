package promises

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

func TestRestartKeepsTheSubnetAndCostsNothing(t *testing.T) {
	l := cluster.Start(t, lab.Options{Nodes: 2, IPv6: true, Config: cluster.DualStack}, 2)
	cluster.AwaitPeers(t, l, within5, 1)
	n, pods := l.Nodes[0], l.Pods()
	for _, c := range []struct {
		name   string
		end    func(*testing.T, *lab.Node)
		remove func() error // between the end and the new start
	}{
		{"SIGTERM", cluster.Stop, func() error { return nil }},
		{"SIGKILL", cluster.Kill, func() error { return nil }},
		{"without its node file", cluster.Kill, func() error { return os.Remove(n.NodeFile()) }},
		{"without its saved state", cluster.Stop, func() error { return os.RemoveAll(n.StateDir()) }},
		{"without either", cluster.Kill, func() error { return errors.Join(os.Remove(n.NodeFile()), os.RemoveAll(n.StateDir())) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			key, file, before := cluster.SubnetText(t, n), cluster.NodeFile(t, n), cluster.KernelOf(t, n)
			traffic := cluster.StartFlood(t, [2]*lab.Pod{pods[0], pods[2]}, [2]*lab.Pod{pods[0], pods[1]})
			own, peer := cluster.WatchKernel(t, n.Place), cluster.WatchKernel(t, l.Nodes[1].Place)
			c.end(t, n)
			cluster.Check(t, c.remove())
			began := time.Now()
			cluster.Check(t, n.Start(cluster.Within(t)))
			t.Logf("ready again after %v", time.Since(began).Round(time.Millisecond))
			cluster.AwaitStatus(t, n, 5*time.Second, "holds its lease", func(s cluster.Status) bool { return s.Ready && s.Lease.Held && len(s.Peers) == 1 })
			traffic.ExpectNothingLost(t)
			own.ExpectNothing(t)
			peer.ExpectNothing(t)
			cluster.ExpectKernel(t, n, before)
			if got := cluster.SubnetText(t, n); got != key {
				t.Errorf("pod subnet %s, want %s as before", got, key)
			}
			for k, v := range cluster.NodeFile(t, n) {
				if file[k] != v {
					t.Errorf("node file: %s=%s, want %s as before", k, v, file[k])
				}
			}
		})
	}
}

// All podlaneds are killed and start again at the same moment.
func TestAllRestartAtTheSameMoment(t *testing.T) {
	l := cluster.Start(t, lab.Options{Nodes: 5}, 1)
	cluster.AwaitPeers(t, l, within5, 4)
	pods := l.Pods()
	kernels := kernelsOf(t, l.Nodes)
	traffic := cluster.StartFlood(t, [2]*lab.Pod{pods[0], pods[1]}, [2]*lab.Pod{pods[2], pods[4]})
	var watches []*cluster.Monitor
	for _, n := range l.Nodes {
		watches = append(watches, cluster.WatchKernel(t, n.Place))
		cluster.Kill(t, n)
	}
	cluster.Check(t, l.StartAll(cluster.Within(t)))
	cluster.AwaitPeers(t, l, within5, 4)
	traffic.ExpectNothingLost(t)
	for i, n := range l.Nodes {
		watches[i].ExpectNothing(t)
		cluster.ExpectKernel(t, n, kernels[i])
	}
}

// etcd is down for three seconds. Meanwhile one podlaned is killed and started. It works with its saved state.
func TestOverlayGoesOnWithoutEtcd(t *testing.T) {
	l := cluster.Start(t, lab.Options{Nodes: 2}, 2)
	n, pods := l.Nodes[0], l.Pods()
	key, before := cluster.SubnetText(t, n), cluster.KernelOf(t, n)
	traffic := cluster.StartFlood(t, [2]*lab.Pod{pods[0], pods[2]}, [2]*lab.Pod{pods[0], pods[1]})
	own, peer := cluster.WatchKernel(t, n.Place), cluster.WatchKernel(t, l.Nodes[1].Place)
	cluster.AwaitSaved(t, l.Nodes, key, cluster.SubnetText(t, l.Nodes[1]))
	away := time.After(3 * time.Second)
	cluster.Check(t, l.Etcd.Stop(1))
	cluster.Kill(t, n)
	cluster.Check(t, n.Launch(cluster.Within(t)))
	took := cluster.AwaitStatus(t, n, 20*time.Second, "works with its saved state", func(s cluster.Status) bool {
		return !s.Verified.IsZero() && len(s.Peers) == 1 && !s.Ready && len(s.Problems) > 0
	})
	t.Logf("started without etcd: the kernel was verified after %v", took)
	<-away
	cluster.Check(t, l.Etcd.Start(cluster.Within(t), 1))
	cluster.AwaitPeers(t, l, 20*time.Second, 1)
	traffic.ExpectNothingLost(t)
	own.ExpectNothing(t)
	peer.ExpectNothing(t)
	cluster.ExpectKernel(t, n, before)
	if got := cluster.SubnetText(t, n); got != key {
		t.Errorf("pod subnet %s, want %s as before", got, key)
	}
}
