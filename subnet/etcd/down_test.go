package etcd

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"
)

// connected counts new connections.
type connected struct {
	connections
	count *atomic.Int64
}

func (c connected) HandleConn(_ context.Context, s stats.ConnStats) {
	if _, begin := s.(*stats.ConnBegin); begin {
		c.count.Add(1)
	}
}

// All members are gone, or are frozen. The node keeps its lease, reports an error, retries with pauses, and recovers when they
// are back.
func TestAllMembersAreDown(t *testing.T) {
	const watched = 10 * time.Second
	for _, members := range []int{1, 3} {
		for _, down := range []string{"killed", "frozen"} {
			t.Run(fmt.Sprintf("%d %s", members, down), func(t *testing.T) {
				etcd := startCluster(t, members)
				etcd[0].put("config", ipv4Config)
				var calls, made atomic.Int64
				store := openStore(t, Config{Endpoints: etcd.endpoints(), Observe: func(string, time.Duration, error) { calls.Add(1) }})
				store.config.DialOptions = append(store.config.DialOptions, grpc.WithStatsHandler(connected{count: &made}))
				n := run(t, store, quick(1))
				before := n.held(t)
				for _, s := range etcd {
					if down == "killed" {
						s.stop()
					} else {
						s.freeze()
					}
				}
				start := time.Now()
				n.wait(t, "error", func(s State) bool { return s.Err != nil })
				reported := time.Since(start)
				calls.Store(0)
				made.Store(0)
				used := cpu(t)
				<-time.After(watched) // what must not happen has no condition to wait for
				used = cpu(t) - used
				t.Logf("reported after %v; in %v: %d calls, %d connections, %v of CPU time",
					reported.Round(time.Millisecond), watched, calls.Load(), made.Load(), used.Round(time.Millisecond))
				if calls.Load() > 60 || made.Load() > 60 {
					t.Errorf("%d calls and %d connections, want at most 60 of each", calls.Load(), made.Load())
				}
				if used > watched/20 {
					t.Errorf("%v of CPU time, want at most %v", used, watched/20)
				}
				for _, s := range etcd {
					if down == "killed" {
						s.launch(s.dir)
					} else {
						s.thaw()
					}
				}
				start = time.Now()
				after := n.wait(t, "lease and watch", func(s State) bool { return held(s) && s.Watching && s.Seen.After(start) })
				t.Logf("back after %v", time.Since(start).Round(time.Millisecond))
				if after.Own != before.Own || after.Losses != 0 {
					t.Errorf("own %v, before %v, %d losses", after.Own, before.Own, after.Losses)
				}
			})
		}
	}
}
