package etcd

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/subnet/store"
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
	eventually(t, "all leases and the configuration put back", func() bool {
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

// watchPeers follows the fewest peers that any of the nodes is given from now on.
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

// Somebody deletes all leases: no node loses sight of another, and all put their keys back.
func TestLeasesDeletedByHandArePutBack(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	running := peers(t, etcd, 3, nil)
	before := etcd.keys(subnets)
	fewest := watchPeers(running)
	etcd.deleteAll(subnets)
	eventually(t, "all leases put back", func() bool { return len(etcd.keys(subnets)) == 3 })
	for _, n := range running {
		n.wait(t, "all peers", func(s State) bool { return held(s) && len(s.Set.Records) == 3 && s.Retained == 0 })
	}
	if n := fewest(); n != 2 {
		t.Errorf("a node saw %d peers", n)
	}
	for key, r := range etcd.keys(subnets) {
		if before[key].value != r.value || before[key].modified == r.modified {
			t.Errorf("%s: %+v, before %+v", key, r, before[key])
		}
	}
}

func TestGracePassesAndGonePeersGo(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	running := peers(t, etcd, 2, func(o *Options) { o.Grace = time.Second })
	etcd.stop()
	running[1].stop(t)
	etcd.start(t.TempDir())
	running[0].wait(t, "retained peer", func(s State) bool { return held(s) && s.Retained == 1 && len(s.Set.Records) == 2 })
	running[0].wait(t, "set without it", func(s State) bool { return held(s) && s.Retained == 0 && len(s.Set.Records) == 1 })
}

func TestRestartWithinTheGraceKeepsWhatIsNotBack(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	running := peers(t, etcd, 2, nil)
	etcd.stop()
	running[1].stop(t)
	etcd.start(t.TempDir())
	kept := func(s State) bool { return held(s) && s.Retained == 1 && len(s.Set.Records) == 2 }
	saved := running[0].wait(t, "retained peer", kept).Save()
	running[0].stop(t)
	opts := quick(0)
	opts.Saved, opts.Grace = &saved, time.Second
	n := run(t, etcd.open(t), opts)
	saved = n.wait(t, "the peer is still retained", held).Save()
	if len(saved.Leases) != 2 {
		t.Errorf("after the restart: %+v", saved.Leases)
	}
	n.wait(t, "set without it", func(s State) bool { return held(s) && s.Retained == 0 && len(s.Set.Records) == 1 })
}

func TestRestoredOlderBackup(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	running := peers(t, etcd, 1, nil)
	dir := etcd.dir
	etcd.stop()
	backup := filepath.Join(t.TempDir(), "backup")
	if err := os.CopyFS(backup, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	etcd.start(dir)
	running = append(running, run(t, etcd.open(t), quick(7)))
	for _, n := range running {
		n.wait(t, "all peers", func(s State) bool { return held(s) && len(s.Set.Records) == 2 })
	}
	etcd.stop()
	etcd.start(backup)
	// Others write at once, so that the revision is soon beyond the one the nodes have seen.
	for range 20 {
		etcd.put("other", "x")
	}
	eventually(t, "both leases are back", func() bool { return len(etcd.keys(subnets)) == 2 })
	for _, n := range running {
		n.wait(t, "all peers", func(s State) bool { return held(s) && len(s.Set.Records) == 2 && s.Retained == 0 })
	}
}

func TestSavedStateRebuildsAWipedEtcd(t *testing.T) {
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	running := peers(t, etcd, 2, nil)
	state := running[0].held(t)
	text, err := json.Marshal(state.Save())
	if err != nil {
		t.Fatal(err)
	}
	var saved store.Saved
	if err := json.Unmarshal(text, &saved); err != nil {
		t.Fatal(err)
	}
	for _, n := range running {
		n.stop(t)
	}
	etcd.stop()
	etcd.start(t.TempDir())
	opts := quick(0)
	opts.Saved, opts.Grace = &saved, 10*time.Second
	n := run(t, etcd.open(t), opts)
	s := n.wait(t, "lease and retained peer", func(s State) bool { return held(s) && s.Retained == 1 })
	if s.Own != state.Own || len(s.Set.Records) != 2 || !reflect.DeepEqual(s.Set.Leases(), state.Set.Leases()) {
		t.Errorf("set %v, before %v", s.Set, state.Set)
	}
	// A newcomer does not get the subnet of a peer that only is not back yet, from a node that knows it.
	run(t, etcd.open(t), quick(1)).held(t)
	n.wait(t, "peer back", func(s State) bool { return s.Retained == 0 && len(s.Set.Records) == 2 })
	if c := etcd.keys("config")[""].value; c != ipv4Config {
		t.Errorf("configuration %q", c)
	}
}

func TestConfigurationDeletedOnPurposeIsNotPutBack(t *testing.T) {
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	running := peers(t, etcd, 1, nil)
	saved := running[0].held(t).Save()
	running[0].stop(t)
	etcd.delete("config")
	opts := quick(0)
	opts.Saved = &saved
	s := run(t, etcd.open(t), opts).held(t)
	if len(s.Warnings) != 1 || len(etcd.keys("config")) != 0 {
		t.Errorf("warnings %q, configuration %v", s.Warnings, etcd.keys("config"))
	}
}

func TestPodSubnetTakenAfterLoss(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	n := peers(t, etcd, 1, nil)[0]
	s := n.held(t)
	etcd.stop()
	other := etcd.url
	cut := freeURL(t, "http")
	etcd.url = cut
	dir := t.TempDir()
	etcd.start(dir)
	leaseOf(etcd, self(5), s.Own.Pair().Key())
	etcd.stop()
	etcd.url = other
	etcd.start(dir)
	c := n.wait(t, "conflict", func(s State) bool { return s.Conflict != "" })
	if !strings.Contains(c.Conflict, "n5") || c.Own != s.Own || c.Held {
		t.Errorf("conflict %q, own %v, held %v", c.Conflict, c.Own, c.Held)
	}
	if r := etcd.keys(subnets)[s.Own.Pair().Key()]; !strings.Contains(r.value, "n5") {
		t.Errorf("the other node's lease was overwritten: %s", r.value)
	}
}
