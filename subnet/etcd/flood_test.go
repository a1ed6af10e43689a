package etcd

import (
	"fmt"
	"net/netip"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

// flood writes many keys, a hundred per transaction.
func (s *server) flood(pairs map[string]string) {
	s.t.Helper()
	client := s.client()
	var ops []clientv3.Op
	for key, value := range pairs {
		ops = append(ops, clientv3.OpPut(DefaultPrefix+"/"+key, value))
	}
	for chunk := range slices.Chunk(ops, 100) {
		if _, err := client.Txn(s.t.Context()).Then(chunk...).Commit(); err != nil {
			s.t.Fatal(err)
		}
	}
}

// heap returns the heap after a garbage collection, in MiB.
func heap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}

// cpu returns the CPU time of this process. etcd is another process.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peak returns the largest heap while f runs, in MiB. It collects garbage often.
func peak(f func()) float64 {
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	done, largest := make(chan struct{}), uint64(0)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var m runtime.MemStats
		for {
			runtime.ReadMemStats(&m)
			largest = max(largest, m.HeapAlloc)
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	f()
	close(done)
	<-ended
	return float64(largest) / (1 << 20)
}

// A hundred thousand useless keys are written while a node runs. Their names or values are wrong, or they overlap others. They
// are counted, a peer is seen at once, and a key costs less than 700 bytes.
func TestHundredThousandJunkKeys(t *testing.T) {
	opts := quick(1)
	opts.CheckEvery = 30 * time.Second
	etcd, n, s := holder(t, opts)
	leaseOf(etcd, self(2), "10.5.200.0-24")
	lease := `{"PublicIP":"192.168.3.3","PublicIPv6":"2001:db8::3:3","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:01"},"BackendV6Data":{"VNI":1,"VtepMAC":"02:00:00:00:00:01"}}`
	const each = 33_333
	junk := map[string]string{}
	for i := range each {
		junk[fmt.Sprintf("subnets/junk-%d", i)] = "{}"
		junk[fmt.Sprintf("subnets/10.6.%d.%d-32", i>>8, i&255)] = strings.Repeat("x", 100)
		junk[fmt.Sprintf("subnets/10.5.200.0-24&fd00:6:0:%x::-64", i+1)] = lease // overlaps the peer
	}
	before := heap()
	start, used := time.Now(), cpu(t)
	etcd.flood(junk)
	t.Logf("%d keys written in %v", len(junk), time.Since(start).Round(time.Millisecond))
	last := n.wait(t, "all junk", func(s State) bool { return len(s.Set.Records) == each+2 && s.Set.Junk == 2*each && held(s) })
	t.Logf("seen after %v, %v of CPU time, %d lists", time.Since(start).Round(time.Millisecond), (cpu(t) - used).Round(time.Millisecond), last.Lists)
	last = store.State{}
	after := heap()
	t.Logf("heap %.1f MiB before, %.1f MiB after", before, after)
	if after-before > 700*3*each/float64(1<<20) {
		t.Errorf("%.0f bytes for a key", (after-before)*(1<<20)/(3*each))
	}
	used = cpu(t)
	const events = 50
	pair := subnet.Pair{IPv4: netip.MustParsePrefix("10.5.201.0/24")}
	var took []time.Duration
	for i := range events {
		start := time.Now()
		peer := self(10+i).Lease(s.Network, pair, subnet.Lease{})
		etcd.put(subnets+pair.Key(), string(peer.Value()))
		n.wait(t, "peer", func(s State) bool { r, _ := s.Set.Find(pair); return r.Lease == peer })
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	t.Logf("a peer is seen after %v, at most %v", took[events/2], took[events-1])
	if took[events/2] > time.Second {
		t.Errorf("a peer is seen after %v", took[events/2])
	}
	if used := cpu(t) - used; used > events*500*time.Millisecond {
		t.Errorf("%d events took %v of CPU time", events, used)
	} else {
		t.Logf("an event takes %v of CPU time, the tests' own included", (used / events).Round(10*time.Microsecond))
	}
	again := run(t, etcd.open(t), quick(300))
	again.wait(t, "a lease for a newcomer", func(s State) bool { return held(s) && len(s.Set.Records) == each+4 })
}

// Names, values and claims of an absurd size do not stay in memory, whether a list or the watch brings them.
func TestHugeKeysAndValues(t *testing.T) {
	etcd, n, _ := holder(t, quick(1))
	leaseOf(etcd, self(2), "10.5.200.0-24")
	n.wait(t, "peer", func(s State) bool { return len(s.Set.Records) == 2 })
	before := heap()
	write := func() {
		large, name := strings.Repeat("x", 1<<20), strings.Repeat("n", 100<<10)
		for i := range 40 {
			etcd.put(fmt.Sprintf("subnets/10.6.%d.0-24", i), large)
			etcd.put(fmt.Sprintf("claims/%d", i), large)
			etcd.put(fmt.Sprintf("subnets/%d%s", i, name), "{}")
			etcd.put(fmt.Sprintf("claims/%d%s", i, name), fmt.Sprintf(`{"NodeID":"x","Node":%q}`, name[:3000]))
			etcd.put(fmt.Sprintf("other/%d%s", i, name), large)
		}
		etcd.put("subnets/10.6.100.0-24", strings.Repeat("y", 6<<20)) // more than a message
		etcd.put("subnets/10.6.101.0-24", `{"BackendData":`+strings.Repeat("[", 60_000))
		etcd.put("subnets/10.6.102.0-24", `{"PublicIP":"192.168.0.9","BackendType":"vxlan","BackendData":{"VNI":1e99,"VtepMAC":"02:00:00:00:00:01"}}`)
		etcd.put("subnets/10.6.103.0-24", `{"PublicIP":"192.168.0.9","BackendType":"vxlan","BackendData":{"VNI":-1,"VtepMAC":"02:00:00:00:00:01"}}`)
		etcd.put("subnets/10.6.104.0-24", "{\"PublicIP\":\"\xff\xfe\"}")
		etcd.put("subnets/\x1b[2J\xff", "{}")
	}
	const junk = 40 + 40 + 6
	check := func(n *node) {
		t.Helper()
		s := n.wait(t, "all junk", func(s State) bool { return s.Set.Junk == junk && held(s) })
		if len(s.Set.Skipped) != junk || len(s.Set.Blocked) != 45 {
			t.Errorf("%d skips, %d blocked", len(s.Set.Skipped), len(s.Set.Blocked))
		}
		for _, skip := range s.Set.Skipped {
			if len(skip.Key) > 300 || len(skip.Reason) > 300 || !utf8.ValidString(skip.Key+skip.Reason) || strings.Contains(skip.Key, "\x1b") {
				t.Errorf("%.500q", skip)
			}
		}
		if _, there := s.Set.Find(subnet.Pair{IPv4: netip.MustParsePrefix("10.5.200.0/24")}); !there {
			t.Error("the peer is lost")
		}
	}
	largest := peak(func() { write(); check(n) })
	t.Logf("watched: heap %.1f MiB before, %.1f MiB at most, %.1f MiB after", before, largest, heap())
	before = heap()
	var again *node
	largest = peak(func() { again = run(t, etcd.open(t), quick(3)); check(again) })
	after := heap()
	t.Logf("listed: heap %.1f MiB before, %.1f MiB at most, %.1f MiB after", before, largest, after)
	if largest > before+10*maxMessage>>20 || after > before+5 {
		t.Error("more than ten messages, or 5 MiB afterwards")
	}
}
