package promises

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/stream"
)

// flood is streams of datagrams and connections between pods.
type flood []*stream.Stream

// startFlood starts one between each pair, in every family of theirs. They end with the test at the latest.
func startFlood(t *testing.T, pairs ...[2]*lab.Pod) flood {
	t.Helper()
	var f flood
	for _, p := range pairs {
		for i := range p[0].Addrs {
			s, err := stream.Start(t.Context(), stream.End{Place: p[0], Addr: p[0].Addrs[i]}, stream.End{Place: p[1], Addr: p[1].Addrs[i]},
				stream.Options{Connections: 4})
			check(t, err)
			t.Cleanup(func() { s.Stop() })
			f = append(f, s)
		}
	}
	return f
}

// expectNothingLost waits until datagrams of now arrive, ends the streams and tells what has been lost since the start.
func (f flood) expectNothingLost(t *testing.T) {
	t.Helper()
	var sum stream.Result
	for _, s := range f {
		if err := s.Flowing(bounded(t, 5*time.Second)); err != nil {
			t.Error(err)
		}
		sum = sum.Add(s.Stop())
	}
	t.Log(sum)
	if err := sum.Err(); err != nil {
		t.Error(err)
	}
}

func stop(t *testing.T, n *lab.Node) {
	t.Helper()
	if code, err := n.Stop(within(t)); code != 0 || err != nil {
		t.Errorf("podlaned on %s ends with %d, %v", n.Name, code, err)
	}
}

func kill(t *testing.T, n *lab.Node) {
	t.Helper()
	check(t, n.Kill())
}

func TestRestartKeepsTheSubnetAndCostsNothing(t *testing.T) {
	l := start(t, lab.Options{Nodes: 2, IPv6: true, Config: dualStack}, 2)
	awaitPeers(t, l, within5, 1)
	n, pods := l.Nodes[0], l.Pods()
	for _, c := range []struct {
		name   string
		end    func(*testing.T, *lab.Node)
		remove func() error // between the end and the new start
	}{
		{"SIGTERM", stop, func() error { return nil }},
		{"SIGKILL", kill, func() error { return nil }},
		{"without its node file", kill, func() error { return os.Remove(n.NodeFile()) }},
		{"without its saved state", stop, func() error { return os.RemoveAll(n.StateDir()) }},
		{"without either", kill, func() error { return errors.Join(os.Remove(n.NodeFile()), os.RemoveAll(n.StateDir())) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			key, file, before := subnetText(t, n), nodeFile(t, n), kernelOf(t, n)
			traffic := startFlood(t, [2]*lab.Pod{pods[0], pods[2]}, [2]*lab.Pod{pods[0], pods[1]})
			own, peer := watchKernel(t, n.Place), watchKernel(t, l.Nodes[1].Place)
			c.end(t, n)
			check(t, c.remove())
			began := time.Now()
			check(t, n.Start(within(t)))
			t.Logf("ready again after %v", time.Since(began).Round(time.Millisecond))
			awaitStatus(t, n, 5*time.Second, "holds its lease", func(s status) bool { return s.Ready && s.Lease.Held && len(s.Peers) == 1 })
			traffic.expectNothingLost(t)
			own.expectNothing(t)
			peer.expectNothing(t)
			expectKernel(t, n, before)
			if got := subnetText(t, n); got != key {
				t.Errorf("it has %s now, and had %s", got, key)
			}
			for k, v := range nodeFile(t, n) {
				if file[k] != v {
					t.Errorf("node file: %s=%s, it was %s", k, v, file[k])
				}
			}
		})
	}
}

// Every podlaned is killed, and all start at the same moment.
func TestAllRestartAtTheSameMoment(t *testing.T) {
	l := start(t, lab.Options{Nodes: 5}, 1)
	awaitPeers(t, l, within5, 4)
	pods := l.Pods()
	kernels := kernelsOf(t, l.Nodes)
	traffic := startFlood(t, [2]*lab.Pod{pods[0], pods[1]}, [2]*lab.Pod{pods[2], pods[4]})
	var watches []*monitor
	for _, n := range l.Nodes {
		watches = append(watches, watchKernel(t, n.Place))
		kill(t, n)
	}
	check(t, l.StartAll(within(t)))
	awaitPeers(t, l, within5, 4)
	traffic.expectNothingLost(t)
	for i, n := range l.Nodes {
		watches[i].expectNothing(t)
		expectKernel(t, n, kernels[i])
	}
}

// Etcd is away for three seconds. Meanwhile one podlaned is killed and started: it works with what it saved.
func TestOverlayGoesOnWithoutEtcd(t *testing.T) {
	l := start(t, lab.Options{Nodes: 2}, 2)
	n, pods := l.Nodes[0], l.Pods()
	key, before := subnetText(t, n), kernelOf(t, n)
	traffic := startFlood(t, [2]*lab.Pod{pods[0], pods[2]}, [2]*lab.Pod{pods[0], pods[1]})
	own, peer := watchKernel(t, n.Place), watchKernel(t, l.Nodes[1].Place)
	away := time.After(3 * time.Second)
	l.Etcd.Stop(1)
	kill(t, n)
	check(t, n.Launch(within(t)))
	took := awaitStatus(t, n, 20*time.Second, "works with what it saved", func(s status) bool {
		return !s.Verified.IsZero() && len(s.Peers) == 1 && !s.Ready && len(s.Problems) > 0
	})
	t.Logf("started without etcd: the kernel was verified after %v", took)
	<-away
	check(t, l.Etcd.Start(within(t), 1))
	awaitPeers(t, l, 20*time.Second, 1)
	traffic.expectNothingLost(t)
	own.expectNothing(t)
	peer.expectNothing(t)
	expectKernel(t, n, before)
	if got := subnetText(t, n); got != key {
		t.Errorf("it has %s now, and had %s", got, key)
	}
}
