package faults

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

const (
	// recreateLimit bounds the time until datagrams arrive again. The kernel reports the carrier of a new bridge up to a second
	// late, and IPv6 waits for it.
	recreateLimit = 3 * time.Second
	// afterRewrite is how long datagrams are counted after the table has the new index.
	afterRewrite = 100 * time.Millisecond
)

// An interface of the first node is deleted and created again, so it has another index. The early rules for the former index
// match no packet. The general rules accept the pods' packets until podlaned has rewritten the early rules. In half of the cases
// podlaned is paused meanwhile.
func TestInterfaceIsCreatedAgain(t *testing.T) {
	l := cluster.Start(t, lab.Options{Nodes: 2, IPv6: true, Config: cluster.DualStack}, 1)
	cluster.AwaitPeers(t, l, soon, 1)
	n, pair := l.Nodes[0], [2]*lab.Pod(l.Pods())
	for _, r := range cluster.Recreations {
		cluster.AwaitIndex(t, n, r.Interface)
		for _, paused := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, podlaned paused: %v", r.Interface, paused), func(t *testing.T) {
				traffic, before := cluster.StartFlood(t, pair), drops(t, l)
				if paused {
					cluster.Check(t, n.Pause())
				}
				r.Do(t, n, paused)
				if paused {
					t.Logf("the pods talk after %v", traffic.ExpectFlow(t, recreateLimit).Round(time.Millisecond))
					if table := cluster.Run(t, n.Place, "nft list table inet podlane"); cluster.HasIndex(table, r.Interface) {
						t.Errorf("the table has the index of the new interface already:\n%s", table)
					}
					cluster.Check(t, n.Resume())
				}
				t.Logf("the table has the new index within %v", cluster.AwaitIndex(t, n, r.Interface).Max.Round(time.Millisecond))
				traffic.ExpectFlow(t, recreateLimit)
				if r.Own { // until its routes exist, what arrives fails the reverse-path check
					before = drops(t, l)
				}
				wait(t, afterRewrite)
				if r := traffic.End(t); r.Gaps > 1 || r.Broken > 0 || r.Duplicated > 0 {
					t.Errorf("datagrams lost after others had arrived again, duplicated, or broken connections: %s", r)
				}
				if after := drops(t, l); !maps.Equal(before, after) {
					t.Errorf("valid packets were dropped: before %v, after %v", before, after)
				}
			})
		}
	}
}

// drops returns how many packets all nodes' tables have dropped, by node and reason.
func drops(t *testing.T, l *lab.Lab) map[string]int {
	t.Helper()
	all := map[string]int{}
	for _, n := range l.Nodes {
		for reason, packets := range cluster.Drops(t, n) {
			all[n.Name+" "+reason] = packets
		}
	}
	return all
}

// The firewall is written before the devices of the overlay exist. When the node is ready, the table has their indexes, and nothing
// counts as a repair.
func TestTableHasTheDevicesOfAFirstStart(t *testing.T) {
	l := cluster.Build(t, lab.Options{Nodes: 1, IPv6: true, Config: cluster.DualStack})
	n := l.Nodes[0]
	cluster.Check(t, l.StartAll(cluster.Within(t)))
	table := cluster.Run(t, n.Place, "nft list table inet podlane")
	for _, name := range []string{"eth0", "podlane.1", "podlane-v6.1"} {
		if !cluster.HasIndex(table, name) {
			t.Errorf("the table has no rule for the index of %s:\n%s", name, table)
		}
	}
	if s, err := cluster.StatusOf(cluster.Within(t), n); err != nil || s.Repaired > 0 {
		t.Errorf("%d repairs, error %v; want none", s.Repaired, err)
	}
}
