package channel

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

var (
	podlaned    = Hello{Version: Version, Program: "podlaned v1", Node: "n1"}
	podlaneKube = Hello{Version: Version, Program: "podlane-kube v1", Node: "n1"}

	// shortTiming makes tests of timeouts fast.
	shortTiming = timing{hello: 300 * time.Millisecond, heartbeat: 20 * time.Millisecond, silence: 300 * time.Millisecond, write: 300 * time.Millisecond}
)

func manySkips() []subnet.Skip { return make([]subnet.Skip, subnet.MaxSkips+1) }

func announcementOf(key string) Announcement {
	return Announcement{Lease: store.SavedLease{Key: key, Value: []byte(`{"PublicIP":"192.0.2.1"}`)}}
}

// inbox holds what was delivered.
type inbox[T any] struct {
	mu  sync.Mutex
	all []T
}

func (b *inbox[T]) deliver(v T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, v)
}

// last returns the newest value.
func (b *inbox[T]) last() (v T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.all) > 0 {
		v = b.all[len(b.all)-1]
	}
	return v
}

// some reports whether one of the values matches.
func (b *inbox[T]) some(match func(T) bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, v := range b.all {
		if match(v) {
			return true
		}
	}
	return false
}

// until waits until the newest value matches.
func (b *inbox[T]) until(t *testing.T, what string, match func(T) bool) T {
	t.Helper()
	until(t, what, func() (bool, string) { v := b.last(); return match(v), fmt.Sprintf("%+v", v) })
	return b.last()
}

// until waits until a condition holds, for 10 s at most.
func until(t *testing.T, what string, match func() (bool, string)) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	limit := time.Now().Add(10 * time.Second)
	for {
		yes, last := match()
		if yes {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("not within 10 s: %s; last: %s", what, last)
		}
		<-tick.C
	}
}

// background runs a function until the test ends, or until the returned function is called. That one waits for its end.
func background(t *testing.T, run func(context.Context) error) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	end = func() {
		cancel()
		<-done
	}
	t.Cleanup(end)
	return end
}

// serve starts a server.
func serve(t *testing.T, dir string, p timing, prepare ...func(*Server)) (*Server, *inbox[Feed], func()) {
	t.Helper()
	s, err := Listen(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	s.timing = p
	for _, f := range prepare {
		f(s)
	}
	feeds := &inbox[Feed]{}
	end := background(t, func(ctx context.Context) error { s.Run(ctx, podlaned, feeds.deliver); return nil })
	return s, feeds, end
}

// feed starts a client.
func feed(t *testing.T, dir string, p timing, hello Hello) (*Client, *inbox[Remote]) {
	t.Helper()
	c := NewClient(dir, hello)
	c.hello.Version = hello.Version
	c.timing = p
	remotes := &inbox[Remote]{}
	background(t, func(ctx context.Context) error { return c.Run(ctx, remotes.deliver) })
	return c, remotes
}

// dial connects to the socket without the client.
func dial(t *testing.T, dir string) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", filepath.Join(dir, Socket))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// send writes bytes. The other side may have closed the connection.
func send(conn net.Conn, streams ...[]byte) {
	for _, b := range streams {
		if _, err := conn.Write(b); err != nil {
			return
		}
	}
}

func connected(f Feed) bool { return f.Connected }
