package etcd

import (
	"testing"
	"time"

	"github.com/podlane/podlane/subnet"
)

// Five nodes rotate their addresses: each gets the address of the next one. None waits for the time of an answer.
func TestLiveNodesThatSwapAddressesDoNotWait(t *testing.T) {
	t.Parallel()
	const nodes, noWait = 5, 10 * time.Second
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	var running []*node
	var before []State
	var selves []chan subnet.Self
	for i := range nodes {
		opts, changes := quick(i), make(chan subnet.Self, 1)
		opts.Changes, opts.AnswerTime = changes, 4*noWait
		n := run(t, etcd.open(t), opts)
		running, before, selves = append(running, n), append(before, n.held(t)), append(selves, changes)
	}
	for _, n := range running {
		n.wait(t, "all peers", func(s State) bool { return held(s) && len(s.Set.Records) == nodes })
	}
	began := time.Now()
	for i, changes := range selves {
		moved := self(i)
		moved.PublicIP = self((i + 1) % nodes).PublicIP
		changes <- moved
	}
	for i, n := range running {
		want := self((i + 1) % nodes).PublicIP
		s := n.wait(t, "the next node's address", func(s State) bool { return held(s) && s.Own.IPv4.PublicIP == want })
		if s.Own.Pair() != before[i].Own.Pair() {
			t.Errorf("own %v, before %v", s.Own, before[i].Own)
		}
	}
	if took := time.Since(began); took > noWait {
		t.Errorf("it took %v, want at most %v", took, noWait)
	}
}
