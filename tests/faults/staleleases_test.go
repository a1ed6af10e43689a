package faults

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// Leases and keys must not block a node. They are of nodes with new addresses, of a node that is gone, or of no node.
func TestStaleLeasesAndJunkKeys(t *testing.T) {
	l := cluster.Start(t, lab.Options{Nodes: 3}, 1)
	cluster.AwaitPeers(t, l, soon, len(l.Nodes)-1)
	b := &bed{Lab: l, Baseline: cluster.Baseline{Subnets: cluster.DistinctSubnets(t, l.Nodes)}}
	cluster.AwaitSaved(t, b.Nodes, b.Subnets...)
	t.Run("live nodes swap their addresses", b.swapAddresses)
	t.Run("etcd is restored with the pod subnet of a node that is gone", b.restoresGoneNode)
	t.Run("keys that no node can use", b.joinsBesideJunk)
}

// swapAddresses swaps the addresses of two nodes. Then each of the three nodes gets the address of the next one, and
// then its own again.
func (b *bed) swapAddresses(t *testing.T) {
	at := []int{0, 1, 2} // the node whose address each node has
	for _, to := range [][]int{{1, 0, 2}, {2, 1, 0}, {0, 2, 1}, {0, 1, 2}} {
		for i, n := range b.Nodes {
			if to[i] != at[i] {
				cluster.Run(t, n.Place, fmt.Sprintf("ip address del %s/16 dev eth0", b.Nodes[at[i]].Addr))
			}
		}
		for i, n := range b.Nodes {
			if to[i] != at[i] {
				cluster.Run(t, n.Place, fmt.Sprintf("ip address add %s/16 dev eth0", b.Nodes[to[i]].Addr))
				cluster.Run(t, n.Place, default4)
			}
		}
		cluster.RunInSandbox(t, "ip neigh flush all") // as after the gratuitous ARP of a machine with a new address
		for _, n := range b.Nodes {
			cluster.Run(t, n.Place, "ip neigh flush dev eth0")
		}
		took := cluster.Until(t, underlayLimit, "all leases have the new addresses", func() (bool, string) {
			for i, subnet := range b.Subnets {
				value := ownKeyOf(t, b.Lab, subnet).value
				if want := fmt.Sprintf(`"PublicIP":%q`, b.Nodes[to[i]].Addr); !strings.Contains(value, want) {
					return false, fmt.Sprintf("%s: %s, want %s", subnet, value, want)
				}
			}
			return true, ""
		})
		t.Logf("%v to %v: all leases have the new addresses after %v", at, to, took)
		at = to
		cluster.AwaitPeers(t, b.Lab, soon, len(b.Nodes)-1)
	}
	pods := b.Pods()
	cluster.StartFlood(t, [2]*lab.Pod{pods[0], pods[1]}, [2]*lab.Pod{pods[1], pods[2]}).ExpectNothingLost(t)
}

// restoresGoneNode restores etcd from a snapshot. In it the last node's pod subnet belongs to a node that is gone. The
// node takes it back if no node answers. Other nodes' pods are not affected.
func (b *bed) restoresGoneNode(t *testing.T) {
	n, pods, key := b.Nodes[2], b.Pods(), cluster.LeaseKey(b.Subnets[2])
	pair := strings.Replace(b.Subnets[2], "-", "/", 1)
	cluster.Stop(t, n)
	own := ownKeyOf(t, b.Lab, b.Subnets[2]).value
	gone := strings.NewReplacer("lab-"+n.Name, "lab-gone", `"`+n.Name+`"`, `"gone"`, n.Addr.String(), "198.18.7.9").Replace(own)
	change(t, func(ctx context.Context) error { return b.Etcd.Put(ctx, key, gone) })
	stopEtcd(t, b.Lab)
	cluster.Check(t, b.Etcd.Save(1, "backup"))
	cluster.Check(t, b.Etcd.Start(cluster.Within(t)))
	change(t, func(ctx context.Context) error { return b.Etcd.Delete(ctx, key) })
	cluster.Check(t, n.Start(cluster.Within(t)))
	cluster.AwaitPeers(t, b.Lab, soon, len(b.Nodes)-1)
	whole, cut := cluster.StartFlood(t, [2]*lab.Pod{pods[0], pods[1]}), cluster.StartFlood(t, [2]*lab.Pod{pods[0], pods[2]})
	stopEtcd(t, b.Lab)
	cluster.Check(t, b.Etcd.Load(1, "backup"))
	cluster.Check(t, b.Etcd.Start(cluster.Within(t)))
	began := time.Now()
	cluster.AwaitStatus(t, n, soon, "the conflict", func(s cluster.Status) bool {
		return !s.Ready && strings.Contains(strings.Join(s.Problems, " "), "clashes with the lease "+pair+" of node gone (id lab-gone)")
	})
	cluster.AwaitStatus(t, n, soon, "the pod subnet again", func(s cluster.Status) bool { return s.Ready && s.Lease.Held })
	if took := time.Since(began); took < 9*second { // etcd answered a moment before
		t.Errorf("taken back after %v, want at least 9s for an answer of the holder", took)
	}
	if value := ownKeyOf(t, b.Lab, b.Subnets[2]).value; value != own {
		t.Errorf("lease %s, want %s as before", value, own)
	}
	if want := "pod subnet " + pair + " was taken back from node gone (id lab-gone), which did not answer"; !strings.Contains(n.LogText(), want) {
		t.Errorf("%s does not log %q", n.Name, want)
	}
	cluster.AwaitPeers(t, b.Lab, soon, len(b.Nodes)-1)
	t.Logf("the pods talk again %v after etcd was back", time.Since(began)+cut.ExpectFlow(t, soon))
	whole.ExpectNothingLost(t)
}

// joinsBesideJunk makes a node join while junk keys cover every pod subnet.
func (b *bed) joinsBesideJunk(t *testing.T) {
	n := b.Nodes[2]
	cluster.Stop(t, n)
	change(t, func(ctx context.Context) error { return b.Etcd.Delete(ctx, cluster.LeaseKey(b.Subnets[2])) })
	cluster.Check(t, os.RemoveAll(n.StateDir()))
	cluster.Check(t, os.Remove(n.NodeFile()))
	junk := map[string]string{"10.0.0.0-8": "junk", "10.5.0.0-16": newcomer.value(), "10.5.0.0-17": "{}", "10.5.128.0-17": ""}
	for key, value := range junk {
		change(t, func(ctx context.Context) error { return b.Etcd.Put(ctx, cluster.LeaseKey(key), value) })
	}
	cluster.Check(t, n.Start(cluster.Within(t)))
	cluster.AwaitPeers(t, b.Lab, soon, len(b.Nodes)-1)
	cluster.DistinctSubnets(t, b.Nodes)
	for key := range junk {
		change(t, func(ctx context.Context) error { return b.Etcd.Delete(ctx, cluster.LeaseKey(key)) })
	}
}
