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

// etcd is restored from a backup, and the watch resumes at a revision that does not exist, without an error. Only the watch's own
// progress can show it: the regular check and the one after each new connection are disabled.
func TestWatchOfARevisionThatDoesNotExist(t *testing.T) {
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
	t.Logf("found %v after etcd was back", time.Since(start).Round(10*time.Millisecond))
	if d := time.Since(start); d > 30*time.Second {
		t.Errorf("found after %v", d)
	}
	eventually(t, "lease restored", func() bool { return len(etcd.keys(subnets)) == 1 })
	if s = n.held(t); s.Losses != 1 {
		t.Errorf("%d losses, want 1", s.Losses)
	}
}

// Each member of three is frozen in turn, so also the one of the watch. Changes of peers arrive again soon.
func TestMemberOfTheWatchIsFrozen(t *testing.T) {
	t.Parallel()
	etcd := startCluster(t, 3)
	etcd[0].put("config", ipv4Config)
	opts := quick(1)
	opts.CheckEvery = time.Hour
	n := run(t, etcd.open(t), opts)
	before := n.held(t)
	var unhealthy int
	for i, frozen := range etcd {
		// Each change has its own key: a thawed member still forwards the writes that it received while frozen.
		pair := subnet.Pair{IPv4: netip.MustParsePrefix(fmt.Sprintf("10.5.%d.0/24", 200+i))}
		n.wait(t, "watch", func(s State) bool { return s.Watching })
		other := etcd[(i+1)%3]
		frozen.freeze()
		start := time.Now()
		came := self(100+i).Lease(before.Network, pair, subnet.Lease{})
		eventually(t, "a leader that accepts the write", func() bool { return other.try(subnets+pair.Key(), string(came.Value())) == nil })
		written := time.Since(start)
		n.wait(t, "the new peer", func(s State) bool {
			if !s.Watching {
				unhealthy++
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
	if unhealthy == 0 {
		t.Error("the watch was never given up: it was on none of the members")
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
	// The watch answers though nothing is written.
	for until := time.Now().Add(2*silentAfter + time.Second); time.Now().Before(until); s = n.next(t) {
		if !s.Watching || s.Lists != 1 || s.Err != nil {
			t.Fatalf("the watch was given up: watching %v, %d lists, %v", s.Watching, s.Lists, s.Err)
		}
	}
	if s.Lists != 1 || s.Losses != 0 {
		t.Errorf("%d lists, %d losses", s.Lists, s.Losses)
	}
	dir := etcd.dir
	etcd.stop()
	n.wait(t, "an unhealthy watch", func(s State) bool { return !s.Watching && s.Err != nil && s.Held })
	etcd.start(dir)
	if s = n.wait(t, "watch", func(s State) bool { return held(s) && s.Watching }); s.Losses != 0 {
		t.Errorf("%d losses", s.Losses)
	}
	mu.Lock()
	defer mu.Unlock()
	if calls["Range"] == 0 || calls["Txn"] == 0 {
		t.Errorf("observed %v, want Range and Txn", calls)
	}
	if calls["LeaseGrant"] != 1 {
		t.Errorf("observed %d grants, want 1", calls["LeaseGrant"])
	}
	if failed == 0 {
		t.Error("no call was observed to fail")
	}
}
