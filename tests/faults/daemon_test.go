package faults

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// What happens to podlaned costs the pods nothing. After a start it has nothing to write, to its own kernel or to a
// peer's.
var daemonFaults = []fault{
	{"podlaned is killed", restart(1, cluster.Kill)},
	{"podlaned is terminated", restart(1, cluster.Stop)},
	{"podlaned hangs for 5 s", pause(1, 5*second)},
	{"podlaned is upgraded, and downgraded", upgradeAndDowngrade(1)},
	{"all podlaneds are killed", restart(3, cluster.Kill)},
	{"all podlaneds are terminated", restart(3, cluster.Stop)},
	{"all podlaneds are upgraded, and downgraded", upgradeAndDowngrade(3)},
	{"all podlaneds are killed, one after the other", restartOneByOne},
}

func TestDaemon(t *testing.T) {
	runFaultsAround(t, append(slices.Clone(daemonFaults), fault{"all podlaneds hang for a minute", pause(3, minute)}))
}

// restart ends podlaned on the first nodes and starts it again.
func restart(count int, end func(*testing.T, *lab.Node)) func(*testing.T, *bed) {
	return func(t *testing.T, b *bed) {
		b.expectNoImpact(t, func() {
			nodes := b.Nodes[:count]
			for _, n := range nodes {
				end(t, n)
			}
			b.start(t, nodes)
		})
	}
}

func restartOneByOne(t *testing.T, b *bed) {
	b.expectNoImpact(t, func() {
		for _, n := range b.Nodes {
			cluster.Kill(t, n)
			cluster.Check(t, n.Start(cluster.Within(t)))
		}
	})
}

// pause stops the processes of podlaned on the first nodes for a time.
func pause(count int, d time.Duration) func(*testing.T, *bed) {
	return func(t *testing.T, b *bed) {
		b.expectNoImpact(t, func() {
			over := time.After(d)
			for _, n := range b.Nodes[:count] {
				cluster.Check(t, n.Pause())
			}
			<-over
			for _, n := range b.Nodes[:count] {
				cluster.Check(t, n.Resume())
			}
			for _, n := range b.Nodes[:count] {
				took := cluster.AwaitStatus(t, n, soon, "ready again", func(s cluster.Status) bool { return s.Ready })
				t.Logf("%s is ready after %s", n.Name, took)
			}
		})
	}
}

// upgradeAndDowngrade starts another podlaned on the first nodes, and then the old one again. The version is in the
// lease, so every peer receives the change.
func upgradeAndDowngrade(count int) func(*testing.T, *bed) {
	return func(t *testing.T, b *bed) {
		next, err := nextDaemon()
		cluster.Check(t, err)
		nodes := b.Nodes[:count]
		s, err := cluster.StatusOf(cluster.Within(t), nodes[0])
		cluster.Check(t, err)
		for _, to := range []struct{ daemon, version string }{{next, nextVersion}, {"", s.Version}} {
			b.expectNoImpact(t, func() {
				for _, n := range nodes {
					n.Daemon = to.daemon
					cluster.Stop(t, n)
				}
				b.start(t, nodes)
				for _, n := range nodes {
					b.awaitVersion(t, n, to.version)
				}
			})
		}
	}
}

const nextVersion = "next"

// nextDaemon builds a podlaned of the next version. /run belongs to the sandbox, and is removed with it.
var nextDaemon = sync.OnceValues(func() (string, error) {
	path := filepath.Join("/run", "podlaned-"+nextVersion)
	out, err := exec.Command("go", "build", "-o", path, "-ldflags", "-X main.version="+nextVersion, "../../daemon").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the next podlaned: %w: %s", err, out)
	}
	return path, nil
})

// awaitVersion waits until all peers of a node show its version.
func (b *bed) awaitVersion(t *testing.T, n *lab.Node, version string) {
	t.Helper()
	for _, peer := range b.Nodes {
		if peer == n {
			continue
		}
		cluster.AwaitStatus(t, peer, soon, n.Name+" has version "+version, func(s cluster.Status) bool {
			i := slices.IndexFunc(s.Peers, func(p cluster.Peer) bool { return p.Name == n.Name })
			return i >= 0 && s.Peers[i].Version == version
		})
	}
}

// start starts podlaned on nodes at the same moment, and waits until all are ready.
func (b *bed) start(t *testing.T, nodes []*lab.Node) {
	t.Helper()
	for _, n := range nodes {
		cluster.Check(t, n.Launch(cluster.Within(t)))
	}
	began := time.Now()
	for _, n := range nodes {
		cluster.Check(t, n.Ready(cluster.Within(t)))
	}
	t.Logf("ready after %v", time.Since(began).Round(time.Millisecond))
}

// expectNoImpact causes a fault while pods of all nodes talk. The fault must cost no datagram, no connection, and no
// write to any kernel.
func (b *bed) expectNoImpact(t *testing.T, fault func()) {
	t.Helper()
	traffic := b.flood(t)
	var kernels []*cluster.Monitor
	for _, n := range b.Nodes {
		kernels = append(kernels, cluster.WatchKernel(t, n.Place))
	}
	fault()
	b.expectRecovered(t)
	traffic.ExpectNothingLost(t)
	for _, k := range kernels {
		k.ExpectNothing(t)
	}
}
