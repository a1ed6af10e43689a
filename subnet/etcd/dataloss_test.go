package etcd

import (
	"testing"
)

// peers runs nodes on one etcd and waits until each sees all.
func peers(t *testing.T, etcd *server, nodes int, change func(*Options)) []*node {
	t.Helper()
	var running []*node
	for i := range nodes {
		opts := quick(i)
		if change != nil {
			change(&opts)
		}
		running = append(running, run(t, etcd.open(t), opts))
	}
	for _, n := range running {
		n.wait(t, "all peers", func(s State) bool { return held(s) && len(s.Set.Records) == nodes })
	}
	return running
}

func TestWipedEtcdIsRebuilt(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	running := peers(t, etcd, 3, nil)
	before := etcd.keys(subnets)
	etcd.stop()
	for _, n := range running {
		n.wait(t, "error", func(s State) bool { return s.Err != nil && len(s.Set.Records) == 3 })
	}
	fewest := watchPeers(running)
	etcd.start(t.TempDir())
	eventually(t, "all leases and the configuration are restored", func() bool {
		return len(etcd.keys(subnets)) == 3 && etcd.keys("config")[""].value == ipv4Config
	})
	for _, n := range running {
		n.wait(t, "all peers", func(s State) bool { return held(s) && len(s.Set.Records) == 3 && s.Retained == 0 })
	}
	if n := fewest(); n != 2 {
		t.Errorf("a node saw %d peers", n)
	}
	for key, r := range etcd.keys(subnets) {
		if before[key].value != r.value {
			t.Errorf("%s: %s, before %s", key, r.value, before[key].value)
		}
	}
}

// watchPeers records the fewest peers that any of the nodes gets from now on.
func watchPeers(running []*node) (fewest func() int) {
	done := make(chan struct{})
	sizes := make(chan int, len(running))
	for _, n := range running {
		go func() {
			least := 1 << 30
			for {
				n.mu.Lock()
				state, changed := n.state, n.changed
				n.mu.Unlock()
				count := 0
				for _, r := range state.Set.Records {
					if r.Pair() != state.Own.Pair() {
						count++
					}
				}
				least = min(least, count)
				select {
				case <-changed:
				case <-done:
					sizes <- least
					return
				}
			}
		}()
	}
	return func() int {
		close(done)
		least := 1 << 30
		for range running {
			least = min(least, <-sizes)
		}
		return least
	}
}
