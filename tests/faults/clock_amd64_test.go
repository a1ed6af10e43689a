package faults

import (
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

const day = 24 * time.Hour

// Two wall clocks are stepped at the same time, one forward and one back.
var clockFaults = []fault{
	{"clocks are stepped by a day, and back", func(t *testing.T, b *bed) {
		b.expectNoImpact(t, func() {
			offsets, stepped := []time.Duration{day, -day}, time.Now()
			for i, offset := range offsets {
				cluster.StepClock(t, b.Nodes[i].PID(), offset)
				expectTimes(t, b.Nodes[i], offset)
			}
			for i, offset := range offsets {
				n := b.Nodes[i]
				cluster.Until(t, 45*second, n.Name+" has an answer of etcd", func() (bool, string) {
					seen := metricTime(t, n, "podlane_etcd_last_seen_timestamp_seconds")
					return seen.After(stepped.Add(offset + second)), seen.String()
				})
				expectTimes(t, n, offset)
				cluster.StepClock(t, n.PID(), 0)
				expectTimes(t, n, 0)
			}
		})
	}},
	{"podlaned starts while etcd is down, and what it saved is by a clock that was a day off", func(t *testing.T, b *bed) {
		traffic := b.flood(t)
		offsets := []time.Duration{day, -day}
		b.startWithoutEtcd(t, b.Nodes[:2])
		for i, offset := range offsets {
			cluster.StepClock(t, b.Nodes[i].PID(), offset)
		}
		cluster.Check(t, b.Etcd.Start(cluster.Within(t), 1, 2, 3))
		for i, offset := range offsets {
			n := b.Nodes[i]
			cluster.Until(t, minute, n.Name+" renews its lease and saves its expiry", func() (bool, string) {
				left := time.Until(savedExpiry(t, n))
				return left > day+offset-time.Hour && left < day+offset+time.Hour, left.String()
			})
		}
		b.startWithoutEtcd(t, b.Nodes[:2])
		for i := range offsets {
			expectTimes(t, b.Nodes[i], 0)
		}
		cluster.Check(t, b.Etcd.Start(cluster.Within(t), 1, 2, 3))
		for _, n := range b.Nodes {
			cluster.AwaitStatus(t, n, minute, "ready", func(s cluster.Status) bool { return s.Ready })
		}
		b.expectRecovered(t)
		traffic.ExpectNothingLost(t)
	}},
}

// startWithoutEtcd stops etcd, and starts podlaned on nodes again, with the machine's clock.
func (b *bed) startWithoutEtcd(t *testing.T, nodes []*lab.Node) {
	t.Helper()
	for i := range b.Etcd.Endpoints() {
		cluster.Check(t, b.Etcd.Stop(i+1))
	}
	for _, n := range nodes {
		cluster.Kill(t, n)
		cluster.Check(t, n.Launch(cluster.Within(t)))
	}
	for _, n := range nodes {
		took := cluster.AwaitStatus(t, n, 5*second, "works with its saved state", func(s cluster.Status) bool {
			return !s.Verified.IsZero() && len(s.Peers) == len(b.Nodes)-1
		})
		t.Logf("%s works %s after its start, without etcd", n.Name, took)
	}
}

// savedExpiry returns the end of a node's lease in its saved state, by the wall clock.
func savedExpiry(t *testing.T, n *lab.Node) time.Time {
	t.Helper()
	saved, err := cluster.ReadSaved(n)
	cluster.Check(t, err)
	return saved.Until.Wall
}

func TestClock(t *testing.T) { runFaults(t, clockFaults) }

// expectTimes expects that podlaned reports times by its own clock. Its lease must still last for a day.
func expectTimes(t *testing.T, n *lab.Node, offset time.Duration) {
	t.Helper()
	s, err := cluster.StatusOf(cluster.Within(t), n)
	cluster.Check(t, err)
	now := time.Now().Add(offset)
	if age := now.Sub(s.Verified); age < -second || age > minute {
		t.Errorf("%s, whose clock is %v off: verified %v ago, want -1s to 1m", n.Name, offset, age)
	}
	for _, expiry := range []time.Time{s.Lease.Expiry, metricTime(t, n, "podlane_lease_expiry_timestamp_seconds")} {
		if left := expiry.Sub(now); left < day-time.Hour || left > day+second {
			t.Errorf("%s, whose clock is %v off: the lease lasts %v, want a day", n.Name, offset, left)
		}
	}
}
