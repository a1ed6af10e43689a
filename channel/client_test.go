package channel

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/podlane/podlane/localsocket"
	"github.com/podlane/podlane/subnet/store"
)

// podlaned ends and starts again. The client connects again by itself and sends everything.
func TestReconnect(t *testing.T) {
	dir := t.TempDir()
	c, remotes := feed(t, dir, defaultTiming, podlaneKube)
	c.SendLeases(someLeases(3))
	c.SendSource(Source{Fault: "away"})
	remotes.until(t, "no podlaned", func(r Remote) bool { return strings.Contains(r.Fault, "podlaned has no channel") })
	for i := range 3 {
		s, feeds, end := serve(t, dir, defaultTiming)
		key := fmt.Sprintf("10.5.%d.0-24", i)
		s.Announce(announcementOf(key))
		remotes.until(t, "podlaned's announcement", func(r Remote) bool {
			return r.Connected && r.Fault == "" && r.Announcement != nil && r.Announcement.Lease.Key == key
		})
		feeds.until(t, "both messages", func(f Feed) bool { return f.Connected && f.Leases != nil && f.Source != nil })
		end()
		r := remotes.until(t, "the end", func(r Remote) bool { return !r.Connected })
		if !strings.Contains(r.Fault, "podlaned v1 closed the connection") && !strings.Contains(r.Fault, "podlaned has no channel") {
			t.Errorf("fault %q", r.Fault)
		}
	}
}

func TestClientNamesAnotherPodlaned(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir, defaultTiming)
	version, node := podlaneKube, podlaneKube
	version.Version = 2
	node.Node = "n2"
	for want, hello := range map[string]Hello{
		"podlane-kube v1 uses version 2 of the channel protocol, and podlaned v1 uses version 1": version,
		`podlane-kube v1 is for the node "n2", and podlaned v1 is for the node "n1"`:             node,
	} {
		c, remotes := feed(t, dir, defaultTiming, hello)
		c.SendLeases(someLeases(3))
		remotes.until(t, want, func(r Remote) bool { return !r.Connected && strings.Contains(r.Fault, want) })
	}
}

// podlaned treats an older set as a loss of data. So it is sent only after the caller has confirmed it.
func TestOlderSetIsWithheld(t *testing.T) {
	dir := t.TempDir()
	_, feeds, _ := serve(t, dir, defaultTiming, func(s *Server) { s.SetRevision(7) })
	c := NewClient(dir, podlaneKube)
	c.SendLeases(someLeases(5))
	c.SendSource(Source{Fault: "not confirmed"})
	var once sync.Once
	confirm := make(chan struct{})
	background(t, func(ctx context.Context) error {
		return c.Run(ctx, func(r Remote) {
			if r.Connected && r.Hello.Revision == 7 {
				once.Do(func() { close(confirm) })
			}
		})
	})
	<-confirm
	f := feeds.until(t, "the source", func(f Feed) bool { return f.Source != nil && f.Source.Fault == "not confirmed" })
	if f.Leases != nil {
		t.Fatalf("the older set was sent: %+v", f.Leases)
	}
	c.SendLeases(someLeases(6)) // composed before the hello, and sent after it
	c.SendSource(Source{Fault: "still not confirmed"})
	f = feeds.until(t, "the source", func(f Feed) bool { return f.Source != nil && f.Source.Fault == "still not confirmed" })
	if f.Leases != nil {
		t.Fatalf("the older set was sent: %+v", f.Leases)
	}
	confirmed := someLeases(5)
	confirmed.Refuted = 7
	c.SendLeases(confirmed)
	feeds.until(t, "the confirmed set", func(f Feed) bool { return f.Leases != nil && f.Leases.Revision == 5 })
}

func TestHeartbeatsKeepTheConnection(t *testing.T) {
	dir := t.TempDir()
	s, feeds, _ := serve(t, dir, shortTiming)
	c, remotes := feed(t, dir, shortTiming, podlaneKube)
	feeds.until(t, "a feeder", connected)
	began := time.Now()
	feeds.until(t, "heartbeats for longer than the silence", func(f Feed) bool { return f.At.Sub(began) > 2*shortTiming.silence })
	c.SendSource(Source{})
	s.Announce(announcementOf("10.5.1.0-24"))
	began = time.Now()
	feeds.until(t, "the source as heartbeat", func(f Feed) bool { return f.Source != nil && f.At.Sub(began) > 2*shortTiming.silence })
	if feeds.some(func(f Feed) bool { return strings.Contains(f.Fault, "sent no") }) || remotes.some(func(r Remote) bool { return !r.Connected }) {
		t.Errorf("disconnected: %+v, %+v", feeds.last(), remotes.last())
	}
	remotes.mu.Lock()
	defer remotes.mu.Unlock()
	if n := len(remotes.all); n != 2 {
		t.Errorf("%d deliveries, want one for the hello and one for the announcement: a heartbeat is no change", n)
	}
}

// feedConnection starts a client and answers with podlaned's hello, without the server.
func feedConnection(t *testing.T, p timing) (*Client, *inbox[Remote], net.Conn) {
	t.Helper()
	dir := t.TempDir()
	l, err := localsocket.Listen(t.Context(), filepath.Join(dir, Socket), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	c, remotes := feed(t, dir, p, podlaneKube)
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	send(conn, frame(t, kindHello, podlaned))
	return c, remotes, conn
}

func TestSilentPeers(t *testing.T) {
	t.Run("of podlaned", func(t *testing.T) {
		dir := t.TempDir()
		_, feeds, _ := serve(t, dir, shortTiming)
		send(dial(t, dir), frame(t, kindHello, podlaneKube), frame(t, kindLeases, someLeases(3))[:20])
		feeds.until(t, "a feeder", connected)
		f := feeds.until(t, "its end", func(f Feed) bool { return !f.Connected })
		if want := "sent no complete message for 300ms"; !strings.Contains(f.Fault, want) {
			t.Errorf("fault %q, want one with %q", f.Fault, want)
		}
	})
	t.Run("of podlane-kube", func(t *testing.T) {
		_, remotes, conn := feedConnection(t, shortTiming)
		remotes.until(t, "the connection", func(r Remote) bool { return r.Connected })
		go func() { _, _ = io.Copy(io.Discard, conn) }() // until the client closes it
		remotes.until(t, "its end", func(r Remote) bool {
			return !r.Connected && strings.Contains(r.Fault, "podlaned v1 sent no complete message for 300ms")
		})
	})
}

// podlaned does not wait for a feeder that does not read, and a feeder not for podlaned.
func TestSlowReaders(t *testing.T) {
	p := shortTiming
	p.silence = time.Minute
	t.Run("of podlaned", func(t *testing.T) {
		dir := t.TempDir()
		s, feeds, _ := serve(t, dir, p)
		send(dial(t, dir), frame(t, kindHello, podlaneKube))
		feeds.until(t, "a feeder", connected)
		large := announcementOf("10.5.1.0-24")
		large.Lease.Value = []byte(`"` + strings.Repeat("x", 60<<10) + `"`)
		until(t, "the end", func() (bool, string) {
			s.Announce(large) // never waits
			return feeds.some(func(f Feed) bool { return strings.Contains(f.Fault, "does not read for 300ms") }), feeds.last().Fault
		})
	})
	t.Run("of podlane-kube", func(t *testing.T) {
		c, remotes, _ := feedConnection(t, p)
		large := someLeases(3)
		large.Fault = strings.Repeat("x", 4<<20)
		c.SendLeases(large)
		remotes.until(t, "the end", func(r Remote) bool { return strings.Contains(r.Fault, "podlaned v1 does not read for 300ms") })
	})
}

// A set of many Nodes arrives whole, and a flood of changes ends with the newest one.
func TestLargeAndFrequentSets(t *testing.T) {
	dir := t.TempDir()
	_, feeds, _ := serve(t, dir, defaultTiming)
	c, _ := feed(t, dir, defaultTiming, podlaneKube)
	set := someLeases(1)
	for i := range 5000 {
		set.Leases = append(set.Leases, store.SavedLease{Key: fmt.Sprintf("10.%d.%d.0-24", i/256, i%256), Value: []byte(`{"PublicIP":"192.0.2.1"}`)})
	}
	for i := range int64(200) {
		set.Revision = i + 1
		c.SendLeases(set)
	}
	f := feeds.until(t, "the newest set", func(f Feed) bool { return f.Leases != nil && f.Leases.Revision == 200 })
	if len(f.Leases.Leases) != 5002 || !f.Connected {
		t.Errorf("%d leases, connected %v", len(f.Leases.Leases), f.Connected)
	}
}

// deliver may call the server back.
func TestDeliverAnnounces(t *testing.T) {
	dir := t.TempDir()
	s, err := Listen(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	background(t, func(ctx context.Context) error {
		s.Run(ctx, podlaned, func(f Feed) {
			if f.Leases != nil {
				s.Announce(announcementOf(f.Leases.Leases[0].Key))
			}
		})
		return nil
	})
	c, remotes := feed(t, dir, defaultTiming, podlaneKube)
	c.SendLeases(someLeases(3))
	remotes.until(t, "the announcement", func(r Remote) bool { return r.Announcement != nil })
}
