package kubernetes

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/podlane/podlane/channel"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

// awaitLimit bounds each wait.
const awaitLimit = 30 * time.Second

// watched holds the newest of some values, and how many there were.
type watched[T any] struct {
	mu      sync.Mutex
	newest  T
	count   int
	changed chan struct{}
}

func newWatched[T any]() *watched[T] { return &watched[T]{changed: make(chan struct{}, 1)} }

func (w *watched[T]) set(v T) {
	w.mu.Lock()
	w.newest = v
	w.count++
	w.mu.Unlock()
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

func (w *watched[T]) get() (newest T, count int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.newest, w.count
}

// await waits until a value meets a condition, and returns it.
func (w *watched[T]) await(t *testing.T, what string, met func(T) bool) T {
	t.Helper()
	deadline := time.After(awaitLimit)
	for {
		v, count := w.get()
		if count > 0 && met(v) {
			return v
		}
		select {
		case <-w.changed:
		case <-deadline:
			t.Fatalf("%s did not happen; the newest value is %+v", what, v)
		}
	}
}

// runStore runs the store of node 2. It ends with the test.
func runStore(t *testing.T, runDir string, change ...func(*Options)) *watched[store.State] {
	t.Helper()
	o := Options{Self: self(2), Program: "podlaned v1"}
	for _, c := range change {
		c(&o)
	}
	states, s := newWatched[store.State](), New(runDir)
	s.listenEvery = 100 * time.Millisecond
	var run sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	run.Go(func() {
		if err := s.Run(ctx, o, states.set); err != nil {
			t.Errorf("the store ended: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); run.Wait() })
	return states
}

// podlaneKube connects to the store of node 2, until stop is called or the test ends.
func podlaneKube(t *testing.T, runDir string) (c *channel.Client, remotes *watched[channel.Remote], stop func()) {
	t.Helper()
	c = channel.NewClient(runDir, channel.Hello{Program: "podlane-kube v1", Node: "n2"})
	remotes = newWatched[channel.Remote]()
	var run sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	run.Go(func() { _ = c.Run(ctx, remotes.set) })
	stop = func() { cancel(); run.Wait() }
	t.Cleanup(stop)
	return c, remotes, stop
}

func TestNodeJoinsOverTheChannel(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	states := runStore(t, dir)
	st := states.await(t, "the first state", func(store.State) bool { return true })
	if st.Err != nil {
		t.Errorf("podlane-kube may still be starting, and the error is %v", st.Err)
	}
	c, remotes, stop := podlaneKube(t, dir)
	m := message(7, []string{"10.5.2.0/24"}, announced(t, 1, "10.5.1.0-24"))
	c.SendSource(channel.Source{})
	c.SendLeases(*m)
	st = states.await(t, "the own lease", func(st store.State) bool { return st.Own != (subnet.Lease{}) })
	if st.Held || st.Err != nil || !st.Watching || st.Feeder != "podlane-kube v1" {
		t.Errorf("held %v, error %v, watching %v, feeder %q", st.Held, st.Err, st.Watching, st.Feeder)
	}
	remote := remotes.await(t, "the announcement", func(r channel.Remote) bool { return r.Announcement != nil })
	with := *m
	with.Revision, with.Leases = 8, append(with.Leases, remote.Announcement.Lease)
	c.SendLeases(with)
	st = states.await(t, "the announced lease in the set", func(st store.State) bool { return st.Held })
	if got := keys(st.Set); len(got) != 2 || got[1] != "10.5.2.0-24" {
		t.Errorf("set %q", got)
	}
	c.SendSource(channel.Source{Fault: "the API server does not answer"})
	states.await(t, "the fault of the source", func(st store.State) bool { return st.Err != nil && strings.Contains(st.Err.Error(), "API server") })
	stop()
	st = states.await(t, "the error about the lost connection", func(st store.State) bool {
		return st.Err != nil && strings.HasPrefix(st.Err.Error(), "podlane-kube is not connected: podlane-kube v1 (process ")
	})
	if !st.Held || len(st.Set.Records) != 2 || st.Own.Pair() != pair(t, "10.5.2.0-24") {
		t.Errorf("away: held %v, own lease %s, set %q", st.Held, st.Own, keys(st.Set))
	}
	c, remotes, _ = podlaneKube(t, dir)
	remote = remotes.await(t, "the announcement to another podlane-kube", func(r channel.Remote) bool { return r.Announcement != nil })
	if remote.Hello.Revision != 8 || remote.Hello.Program != "podlaned v1" || remote.Announcement.Lease.Key != "10.5.2.0-24" {
		t.Errorf("hello %+v, announcement %+v", remote.Hello, remote.Announcement)
	}
	c.SendSource(channel.Source{})
	with.Revision = 9
	c.SendLeases(with)
	states.await(t, "the state of another podlane-kube", func(st store.State) bool { return st.Err == nil && st.Set.Revision == 9 })
}

// In a burst only the newest set counts. A slow receiver delays nothing else.
func TestBurstOfLeaseSets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	states := runStore(t, dir)
	c, _, _ := podlaneKube(t, dir)
	c.SendSource(channel.Source{})
	c.SendLeases(*message(1, []string{"10.5.2.0/24"}))
	states.await(t, "the first set", func(st store.State) bool { return st.Set.Revision == 1 })
	_, before := states.get()
	const burst = 2000
	began := time.Now()
	for i := range burst {
		c.SendLeases(*message(int64(i+2), []string{"10.5.2.0/24"}, announced(t, i%200+3, "10.5.7.0-24")))
	}
	states.await(t, "the last set", func(st store.State) bool { return st.Set.Revision == burst+1 })
	_, after := states.get()
	if most := int(time.Since(began)/deliveryGap) + 2; after-before > most {
		t.Errorf("%d deliveries of %d sets in %v, want at most %d", after-before, burst, time.Since(began), most)
	}
}

func TestAddressChangeIsAnnounced(t *testing.T) {
	t.Parallel()
	dir, changes := t.TempDir(), make(chan subnet.Self, 1)
	states := runStore(t, dir, func(o *Options) { o.Changes = changes })
	c, remotes, _ := podlaneKube(t, dir)
	c.SendSource(channel.Source{})
	c.SendLeases(*message(1, []string{"10.5.2.0/24"}))
	remotes.await(t, "the announcement", func(r channel.Remote) bool { return r.Announcement != nil })
	moved := self(2)
	moved.PublicIP = netip.MustParseAddr("192.168.0.22")
	changes <- moved
	remotes.await(t, "the announcement of the new address", func(r channel.Remote) bool {
		l, err := subnet.ParseLease(r.Announcement.Lease.Key, r.Announcement.Lease.Value)
		return err == nil && l.IPv4.PublicIP == moved.PublicIP
	})
	close(changes)
	states.await(t, "the new address", func(st store.State) bool { return st.Own.IPv4.PublicIP == moved.PublicIP })
}

// podlaned tries again to listen, and explains meanwhile why it does not.
func TestSocketCannotBeMade(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "run")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	states := runStore(t, dir)
	states.await(t, "the error about the socket", func(st store.State) bool {
		return st.Err != nil && strings.HasPrefix(st.Err.Error(), "podlane-kube is not connected: make the run folder: ")
	})
	if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	c, _, _ := podlaneKube(t, dir)
	c.SendSource(channel.Source{})
	c.SendLeases(*message(1, []string{"10.5.2.0/24"}))
	states.await(t, "the own lease", func(st store.State) bool { return st.Own != (subnet.Lease{}) && st.Err == nil })
}

// The refusal names both nodes. Nothing of the connection is used.
func TestOtherNodesPodlaneKubeIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	states := runStore(t, dir)
	c := channel.NewClient(dir, channel.Hello{Program: "podlane-kube v1", Node: "n3"})
	var run sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer run.Wait()
	defer cancel()
	run.Go(func() { _ = c.Run(ctx, func(channel.Remote) {}) })
	c.SendSource(channel.Source{})
	c.SendLeases(*message(1, []string{"10.5.2.0/24"}))
	st := states.await(t, "the refusal", func(st store.State) bool { return st.Err != nil && strings.Contains(st.Err.Error(), `"n3"`) })
	if st.Own != (subnet.Lease{}) || st.Set.Revision != 0 {
		t.Errorf("own lease %s, revision %d", st.Own, st.Set.Revision)
	}
}
