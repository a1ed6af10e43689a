package cluster

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/stream"
)

// Connections is the number of TCP connections between each pair of pods of a flood.
const Connections = 10

// Flood is traffic between pods: one datagram a millisecond in each direction, and open connections.
type Flood []*stream.Stream

// StartFlood starts streams between each pair, one in each family. They end with the test at the latest.
func StartFlood(t *testing.T, pairs ...[2]*lab.Pod) Flood {
	t.Helper()
	var f Flood
	for _, p := range pairs {
		for i := range p[0].Addrs {
			f = append(f, StartStream(t, stream.End{Place: p[0], Addr: p[0].Addrs[i]}, stream.End{Place: p[1], Addr: p[1].Addrs[i]}))
		}
	}
	return f
}

// StartStream starts a stream of a flood. It ends with the test at the latest.
func StartStream(t *testing.T, a, b stream.End) *stream.Stream {
	t.Helper()
	s, err := stream.Start(t.Context(), a, b, stream.Options{Connections: Connections})
	Check(t, err)
	t.Cleanup(func() { s.Stop() })
	return s
}

// ExpectFlow waits until current datagrams arrive on all streams. It returns how long that took.
func (f Flood) ExpectFlow(t *testing.T, most time.Duration) time.Duration {
	t.Helper()
	began, ctx := time.Now(), Bounded(t, most)
	for _, s := range f {
		if err := s.Flowing(ctx); err != nil {
			t.Error(err)
		}
	}
	return time.Since(began)
}

// End waits until current datagrams arrive, and ends the streams. It logs and returns their result.
func (f Flood) End(t *testing.T) stream.Result {
	t.Helper()
	f.ExpectFlow(t, 5*time.Second)
	results := make([]stream.Result, len(f))
	var all sync.WaitGroup
	for i, s := range f { // a stream that has lost datagrams waits for late ones
		all.Go(func() { results[i] = s.Stop() })
	}
	all.Wait()
	var sum stream.Result
	for _, r := range results {
		sum = sum.Add(r)
	}
	if len(f) > 0 {
		t.Log(sum)
	}
	return sum
}

// ExpectNothingLost ends the streams. No datagram may be lost or arrive twice, and no connection may break.
func (f Flood) ExpectNothingLost(t *testing.T) {
	t.Helper()
	if err := f.End(t).Err(); err != nil {
		t.Error(err)
	}
}

// ExpectGap ends streams that a fault interrupts. No connection may break. No gap may be longer than most.
func (f Flood) ExpectGap(t *testing.T, most time.Duration) {
	t.Helper()
	switch r := f.End(t); {
	case r.Broken > 0 || r.Duplicated > 0:
		t.Errorf("broken connections or duplicated datagrams: %s", r)
	case r.LongestGap > most:
		t.Errorf("gap of %v, want at most %v", r.LongestGap.Round(time.Millisecond), most)
	}
}

// Stop ends a node's podlaned by SIGTERM.
func Stop(t *testing.T, n *lab.Node) {
	t.Helper()
	if code, err := n.Stop(Within(t)); code != 0 || err != nil {
		t.Errorf("stop podlaned on %s: exit code %d, error %v; want 0", n.Name, code, err)
	}
}

// ExpectExit waits until a node's podlaned exits with a code. Its log must contain all texts.
func ExpectExit(t *testing.T, n *lab.Node, want int, texts ...string) {
	t.Helper()
	code, err := n.Wait(Within(t))
	Check(t, err)
	if code != want {
		t.Errorf("podlaned on %s: exit code %d, want %d", n.Name, code, want)
	}
	log := n.LogText()
	for _, text := range texts {
		if !strings.Contains(log, text) {
			t.Errorf("podlaned on %s does not log %q:\n%s", n.Name, text, log)
		}
	}
}

// Kill ends a node's podlaned by SIGKILL.
func Kill(t *testing.T, n *lab.Node) {
	t.Helper()
	Check(t, n.Kill())
}
