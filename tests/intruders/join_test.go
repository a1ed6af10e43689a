package intruders

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// flow is numbered datagrams from one pod to another, one a millisecond.
type flow struct {
	name     string
	send     sender
	receiver *receiver
}

const flowLength = 500

// newFlow opens the sockets.
func newFlow(t *testing.T, from, to *lab.Pod, f family) flow {
	t.Helper()
	receiver := listen(t, to.Place, to.Addrs[f])
	return flow{fmt.Sprintf("%s to %s, %s", from.Name, to.Name, f), openSender(t, from.Place, from.Addrs[f], receiver.addr), receiver}
}

// run sends the flow. It returns the lost numbers.
func (w flow) run(t *testing.T) (lost []uint64) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for i := range uint64(flowLength) {
		if err := w.send(numberedPayload(i)); err != nil {
			t.Errorf("%s: send datagram %d: %v", w.name, i, err)
		}
		<-tick.C
	}
	deadline := time.After(2 * time.Second)
	for {
		if lost = w.lost(); len(lost) == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-deadline:
			return lost
		}
	}
}

func (w flow) lost() (lost []uint64) {
	came := map[uint64]bool{}
	for _, a := range w.receiver.arrivals() {
		came[a.number] = true
	}
	for i := range uint64(flowLength) {
		if !came[i] {
			lost = append(lost, i)
		}
	}
	return lost
}

// Ten nodes join one after the other while two are busy. Each gets a pod as soon as ADD succeeds. From that moment it
// and pods of the first two nodes send to each other. No datagram is lost.
func TestNewNodeIsAcceptedBeforeItsFirstPacket(t *testing.T) {
	const existing, joining = 2, 10
	l := cluster.Build(t, lab.Options{Nodes: existing + joining, IPv6: true, EtcdMembers: 3})
	cluster.Check(t, l.SetConfig(cluster.Within(t), cluster.DualStack))
	b := &bed{Lab: l, nodes: [2]*lab.Node(l.Nodes)}
	b.start(t)
	busy := cluster.StartFlood(t, [2]*lab.Pod{b.pods[0][0], b.pods[1][0]})
	for _, n := range l.Nodes[existing:] {
		t.Run(n.Name, func(t *testing.T) { b.join(t, n) })
	}
	busy.ExpectNothingLost(t)
}

func (b *bed) join(t *testing.T, n *lab.Node) {
	began := time.Now()
	cluster.Check(t, n.Launch(t.Context()))
	var newcomer *lab.Pod
	took := cluster.Until(t, soon, "a pod can be attached", func() (bool, string) {
		p, err := b.AddPod(cluster.Within(t), n, n.Name+"p")
		if err != nil {
			return false, err.Error()
		}
		newcomer = p
		return true, ""
	})
	var flows []flow
	for _, f := range families {
		for i := range b.nodes {
			old := b.pods[i][1]
			flows = append(flows, newFlow(t, newcomer, old, f), newFlow(t, old, newcomer, f))
		}
	}
	t.Logf("its pod is attached %v, and sends %v, after the start", took, time.Since(began).Round(time.Millisecond))
	var running sync.WaitGroup
	for _, w := range flows {
		running.Go(func() {
			if lost := w.run(t); len(lost) > 0 {
				t.Errorf("%s: %d of %d lost: numbers %s", w.name, len(lost), flowLength, ranges(lost))
			}
		})
	}
	running.Wait()
}

// ranges returns sorted numbers in short: 0-12 40.
func ranges(numbers []uint64) string {
	var parts []string
	for from := 0; from < len(numbers); {
		to := from
		for to+1 < len(numbers) && numbers[to+1] == numbers[to]+1 {
			to++
		}
		if parts = append(parts, fmt.Sprint(numbers[from])); to > from {
			parts[len(parts)-1] += fmt.Sprintf("-%d", numbers[to])
		}
		from = to + 1
	}
	return strings.Join(parts, " ")
}
