package etcd

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/podlane/podlane/subnet"
)

// etcd is restored from a backup, and the watch resumes at a revision that does not exist, without an error. Nothing
// but the watch's own progress is left to notice it: the periodic check is switched off, and so is the one after each
// new connection.
func TestWatchIsDeafAfterARestore(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	dir := etcd.dir
	etcd.stop()
	backup := filepath.Join(t.TempDir(), "backup")
	if err := os.CopyFS(backup, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	etcd.start(dir)
	store, opts := etcd.open(t), quick(1)
	store.connected = make(chan struct{})
	opts.CheckEvery = time.Hour
	n := run(t, store, opts)
	n.held(t)
	for range 50 {
		etcd.put("other", "x")
	}
	etcd.stop()
	etcd.start(backup)
	start := time.Now()
	s := n.wait(t, "loss", func(s State) bool { return s.Losses > 0 })
	t.Logf("noticed %v after etcd was back", time.Since(start).Round(10*time.Millisecond))
	if d := time.Since(start); d > 30*time.Second {
		t.Errorf("noticed after %v", d)
	}
	eventually(t, "lease put back", func() bool { return len(etcd.keys(subnets)) == 1 })
	if s = n.held(t); s.Losses != 1 {
		t.Errorf("%d losses, want 1", s.Losses)
	}
}

// One member of three stops without a word, whichever it is that the watch is on. What peers do is seen again soon.
func TestMemberStopsWhileTheWatchIsOnIt(t *testing.T) {
	t.Parallel()
	etcd := startCluster(t, 3)
	etcd[0].put("config", ipv4Config)
	opts := quick(1)
	opts.CheckEvery = time.Hour
	n := run(t, etcd.open(t), opts)
	before := n.held(t)
	var deaf int
	for i, frozen := range etcd {
		// Each change has a key of its own: a member that is thawed still passes on what it was asked while it was frozen.
		pair := subnet.Pair{IPv4: netip.MustParsePrefix(fmt.Sprintf("10.5.%d.0/24", 200+i))}
		n.wait(t, "watch", func(s State) bool { return s.Watching })
		other := etcd[(i+1)%3]
		frozen.freeze()
		start := time.Now()
		came := self(100+i).Lease(before.Network, pair, subnet.Lease{})
		eventually(t, "a leader that takes the write", func() bool { return other.try(subnets+pair.Key(), string(came.Value())) == nil })
		written := time.Since(start)
		n.wait(t, "the new peer", func(s State) bool {
			if !s.Watching {
				deaf++
			}
			r, _ := s.Set.Find(pair)
			return r.Lease == came
		})
		took := time.Since(start)
		t.Logf("member %d stopped: a change written after %v was seen after %v", i, written.Round(time.Millisecond), took.Round(time.Millisecond))
		if took > written+10*time.Second {
			t.Errorf("seen after %v", took)
		}
		frozen.thaw()
	}
	if deaf == 0 {
		t.Error("the watch was never given up: it was on none of the members")
	}
}

// etcd hangs three times, each time before a watch has answered anything, as if it were one that never does. That it is gone
// in the end is noticed as soon as ever.
func TestWatchesThatAreCutShort(t *testing.T) {
	t.Parallel()
	opts := quick(1)
	opts.CheckEvery = 0 // the default
	etcd, n, _ := holder(t, opts)
	for range 3 {
		n.wait(t, "watch", func(s State) bool { return s.Watching })
		etcd.freeze()
		n.wait(t, "a watch that is not heard", func(s State) bool { return !s.Watching })
		etcd.thaw()
	}
	n.wait(t, "watch", func(s State) bool { return s.Watching && s.Err == nil })
	etcd.stop()
	start := time.Now()
	n.wait(t, "error", func(s State) bool { return s.Err != nil })
	took := time.Since(start)
	t.Logf("said after %v", took.Round(time.Millisecond))
	if most := silentAfter + DefaultRequestTimeout; took > most {
		t.Errorf("said after %v, want %v at most", took, most)
	}
}

// A watch that begins after the last write is answered too.
func TestQuietWatchIsNotDeaf(t *testing.T) {
	t.Parallel()
	etcd, n, _ := holder(t, quick(1))
	n.stop(t)
	n = run(t, etcd.open(t), quick(1))
	n.wait(t, "watch", func(s State) bool { return held(s) && s.Watching })
	until := time.Now().Add(2*silentAfter + time.Second)
	for s := n.held(t); time.Now().Before(until); s = n.next(t) {
		if !s.Watching || s.Lists != 1 || s.Err != nil {
			t.Fatalf("taken for a deaf one: watching %v, %d lists, %v", s.Watching, s.Lists, s.Err)
		}
	}
}

func TestWatchingAndCounts(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	var mu sync.Mutex
	calls, failed := map[string]int{}, 0
	store := openStore(t, Config{Endpoints: []string{etcd.url}, Observe: func(call string, took time.Duration, err error) {
		mu.Lock()
		defer mu.Unlock()
		calls[call]++
		if status.Code(err) != codes.OK {
			failed++
		}
		if took <= 0 {
			t.Errorf("%s took %v", call, took)
		}
	}})
	n := run(t, store, quick(1))
	s := n.wait(t, "watch", func(s State) bool { return held(s) && s.Watching })
	if s.Lists != 1 || s.Losses != 0 {
		t.Errorf("%d lists, %d losses", s.Lists, s.Losses)
	}
	dir := etcd.dir
	etcd.stop()
	n.wait(t, "a watch that is not heard", func(s State) bool { return !s.Watching && s.Err != nil && s.Held })
	etcd.start(dir)
	if s = n.wait(t, "watch", func(s State) bool { return held(s) && s.Watching }); s.Losses != 0 {
		t.Errorf("%d losses", s.Losses)
	}
	mu.Lock()
	defer mu.Unlock()
	if calls["Range"] == 0 || calls["Txn"] == 0 || calls["LeaseGrant"] != 1 || failed == 0 {
		t.Errorf("observed %v, %d of them failed", calls, failed)
	}
}
