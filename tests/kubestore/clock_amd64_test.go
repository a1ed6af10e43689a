package kubestore

import (
	"testing"
	"time"

	"github.com/podlane/podlane/tests/cluster"
)

const day = 24 * time.Hour

// The wall clocks of both daemons are stepped, on one node forward and on another back.
var clockFaults = []fault{
	{"clocks are stepped by a day, and back", func(t *testing.T, b *bed) {
		traffic, wrong := b.flood(t), b.Nodes[:2]
		for i, offset := range []time.Duration{day, -day} {
			cluster.StepClock(t, wrong[i].PID(), offset)
			cluster.StepClock(t, wrong[i].FeederPID(), offset)
		}
		b.expectChanges(t) // the connections to the API server continue
		cluster.Check(t, b.API.Refuse())
		cluster.Check(t, b.API.Accept())
		for _, n := range wrong {
			expectProblem(t, n, awayLimit, "certificate is not valid at this node's time")
			b.expectAttach(t, n)
		}
		for _, n := range wrong {
			cluster.StepClock(t, n.PID(), 0)
			cluster.StepClock(t, n.FeederPID(), 0)
		}
		b.expectRecovered(t)
		b.expectChanges(t)
		traffic.ExpectNothingLost(t)
	}},
}

func TestClock(t *testing.T) { runFaults(t, clockFaults) }
