package faults

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// One peer alone fails.
var peerFaults = []fault{
	{"the kernel refuses the route to a peer", refuseRoute},
	{"the entries of a peer that leaves are already deleted", leaveWithoutEntries},
}

func TestPeerThatTheKernelRefuses(t *testing.T) { runFaults(t, peerFaults) }

// The peer's first address is on the node's lo. The kernel refuses a route whose gateway is the node itself.
func refuseRoute(t *testing.T, b *bed) {
	n, words, all := b.Nodes[0], b.wordsOf(t), b.pairs(b.Nodes...)
	do := func(commands ...string) {
		for _, c := range commands {
			cluster.Run(t, n.Place, words.Replace(c))
		}
	}
	cut, third, whole := cluster.StartFlood(t, all[1]), cluster.StartFlood(t, all[2]), cluster.StartFlood(t, append(all[3:], all[0])...)
	do("ip address add PEER4/32 dev lo", "ip address add PEER6/128 dev lo")
	over, tried := time.After(retryTime), b.refused(t, "route")
	do("ip route del PEER4/24", "ip -6 route del PEER6/64")
	took := cluster.AwaitStatus(t, n, second, "the peer with the kernel's error", func(s cluster.Status) bool {
		return s.Ready && strings.Contains(strings.Join(s.Problems, " "), "route") &&
			failedAlone(s, b.Nodes[1].Name, words.Replace("PEER4/24"), words.Replace("PEER6/64"))
	})
	t.Logf("status names the peer after %v", took)
	<-over
	passes := (b.refused(t, "route") - tried) / 2
	if t.Logf("the routes were tried %v times in %v", passes, retryTime); passes < 2 || passes > 8 {
		t.Errorf("%v attempts, want 2 to 8: after 1, 2 and 4 s", passes)
	}
	b.expectOthersOnTime(t, words)
	third.ExpectGap(t, second)
	do("ip address del PEER4/32 dev lo", "ip address del PEER6/128 dev lo")
	t.Logf("the pods of the peer are reached again after %v", cut.ExpectFlow(t, second).Round(time.Millisecond))
	if r := cut.End(t); r.Broken > 0 || r.Duplicated > 0 {
		t.Errorf("broken connections to the peer or duplicated datagrams: %s", r)
	}
	whole.ExpectNothingLost(t)
	cluster.AwaitStatus(t, n, soon, "no problem", func(s cluster.Status) bool { return s.Ready && len(s.Problems) == 0 })
}

// retryTime is how long the test counts podlaned's retries.
const retryTime = 8 * second

// refused returns how often the first node's kernel has refused an operation of a kind.
func (b *bed) refused(t *testing.T, kind string) float64 {
	t.Helper()
	return cluster.Metric(t, b.Nodes[0], fmt.Sprintf(`podlane_operations_total{kind=%q,result="failed"}`, kind))
}

// failedAlone reports whether a status shows only this peer as failed. Its reason must name each of its routes and the
// kernel's error.
func failedAlone(s cluster.Status, peer string, routes ...string) bool {
	for _, p := range s.Peers {
		if p.Name != peer {
			if p.State != "programmed" {
				return false
			}
			continue
		}
		for _, r := range routes {
			if !strings.Contains(p.Reason, "route "+r) {
				return false
			}
		}
		if p.State != "failed" || strings.Count(p.Reason, "invalid argument") != len(routes) {
			return false
		}
	}
	return true
}

// expectOthersOnTime deletes the routes to the third node while the second node fails. It also adds and removes a peer.
// All is programmed in time.
func (b *bed) expectOthersOnTime(t *testing.T, words *strings.Replacer) {
	t.Helper()
	before := cluster.KernelOf(t, b.Nodes[0])
	for _, c := range []string{"ip route del THIRD4/24", "ip -6 route del THIRD6/64"} {
		cluster.Run(t, b.Nodes[0].Place, words.Replace(c))
	}
	asBefore := func(now string) bool { return now == before }
	t.Logf("routes to another peer are repaired after %v", b.awaitKernel(t, asBefore))
	t.Logf("a node that joins is programmed after %v", b.addLeavingPeer(t))
	cluster.Check(t, b.Etcd.Delete(cluster.Within(t), leavingPeerKey))
	t.Logf("and removed %v after it left", b.awaitKernel(t, asBefore))
}

// A peer's entries are deleted at the same moment as podlaned deletes them.
func leaveWithoutEntries(t *testing.T, b *bed) {
	const rounds = 10
	n, traffic := b.Nodes[0], b.flood(t)
	kinds := []string{"route", "fdb", "neighbour"}
	var before []float64
	for _, kind := range kinds {
		before = append(before, b.refused(t, kind))
	}
	for range rounds {
		b.addLeavingPeer(t)
		var g errgroup.Group
		g.Go(func() error { return b.Etcd.Delete(cluster.Within(t), leavingPeerKey) })
		g.Go(func() error {
			_, _ = n.Run(cluster.Within(t), "sh", "-c", deleteLeavingPeer) // podlaned may be first
			return nil
		})
		cluster.Check(t, g.Wait())
		b.awaitKernel(t, func(now string) bool { return now == b.Kernels[0] })
	}
	for i, kind := range kinds {
		if refused := b.refused(t, kind) - before[i]; refused > 0 {
			t.Errorf("%v refused operations of kind %s, want none", refused, kind)
		}
	}
	traffic.ExpectNothingLost(t)
}

// awaitKernel waits up to a second until the first node's kernel meets a condition.
func (b *bed) awaitKernel(t *testing.T, so func(now string) bool) cluster.Elapsed {
	t.Helper()
	return cluster.Until(t, second, "the kernel is in sync", func() (bool, string) {
		now, err := cluster.ReadKernel(cluster.Within(t), b.Nodes[0])
		return err == nil && so(now), now
	})
}

// The leaving peer exists only in etcd.
const (
	leavingPeerKey   = lab.DefaultPrefix + "/subnets/10.5.254.0-24&fd00:5:0:fefe::-64"
	leavingPeerLease = `{"PublicIP":"198.18.7.7","PublicIPv6":"fd98:18::707","BackendType":"vxlan",` +
		`"BackendData":{"VNI":1,"VtepMAC":"ba:11:22:33:44:55"},"BackendV6Data":{"VNI":1,"VtepMAC":"ba:11:22:33:44:66"}}`
	deleteLeavingPeer = "ip route del 10.5.254.0/24; bridge fdb del ba:11:22:33:44:55 dev podlane.1; ip neigh del 10.5.254.0 dev podlane.1;" +
		"ip -6 route del fd00:5:0:fefe::/64; bridge fdb del ba:11:22:33:44:66 dev podlane-v6.1; ip neigh del fd00:5:0:fefe:: dev podlane-v6.1"
)

func (b *bed) addLeavingPeer(t *testing.T) cluster.Elapsed {
	t.Helper()
	cluster.Check(t, b.Etcd.Put(cluster.Within(t), leavingPeerKey, leavingPeerLease))
	return b.awaitKernel(t, func(now string) bool {
		return strings.Contains(now, "10.5.254.0/24 via") && strings.Contains(now, "fd00:5:0:fefe::/64 via")
	})
}
