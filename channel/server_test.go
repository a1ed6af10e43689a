package channel

import (
	"bufio"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestSetsAndAnnouncementsCross(t *testing.T) {
	dir := t.TempDir()
	s, feeds, _ := serve(t, dir, defaultTiming)
	until(t, "the first feed", func() (bool, string) { return feeds.some(func(Feed) bool { return true }), "" })
	if f := feeds.last(); f != (Feed{}) {
		t.Errorf("before a connection: %+v, want nothing, and no fault", f)
	}
	s.SetRevision(2)
	s.Announce(announcementOf("10.5.1.0-24"))
	c, remotes := feed(t, dir, defaultTiming, podlaneKube)
	r := remotes.until(t, "the announcement", func(r Remote) bool { return r.Announcement != nil })
	if !r.Connected || r.Fault != "" || r.Hello.Program != "podlaned v1" || r.Hello.Revision != 2 || r.Announcement.Lease.Key != "10.5.1.0-24" {
		t.Errorf("received %+v", r)
	}
	if f := feeds.last(); !f.Connected || f.Fault != "" || f.Program != "podlane-kube v1" || f.Leases != nil || f.Source != nil {
		t.Errorf("before the first set: %+v", f)
	}
	c.SendSource(Source{Fault: "the API server is away"})
	c.SendLeases(someLeases(3))
	f := feeds.until(t, "both messages", func(f Feed) bool { return f.Leases != nil && f.Source != nil })
	if f.Leases.Revision != 3 || len(f.Leases.Leases) != 2 || f.Source.Fault != "the API server is away" || time.Since(f.At) > time.Minute {
		t.Errorf("received %+v", f)
	}
	c.SendSource(Source{})
	c.SendLeases(someLeases(4))
	f = feeds.until(t, "the next ones", func(f Feed) bool { return f.Leases.Revision == 4 && f.Source.Fault == "" })
	if !f.Connected || f.Fault != "" {
		t.Errorf("received %+v", f)
	}
	s.Announce(announcementOf("10.5.2.0-24"))
	remotes.until(t, "the next announcement", func(r Remote) bool { return r.Announcement.Lease.Key == "10.5.2.0-24" })
}

func TestOnlyTheUserCanOpenTheSocket(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir, defaultTiming)
	if info, err := os.Lstat(filepath.Join(dir, Socket)); err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// As root, a thread of another user connects, to a socket that was opened for all. Otherwise the server expects another user.
func TestAnotherUserIsRefused(t *testing.T) {
	dir := t.TempDir()
	uid := unix.Geteuid()
	_, feeds, _ := serve(t, dir, defaultTiming, func(s *Server) {
		if uid == 0 {
			uid = 65534
		} else {
			s.uid++
		}
	})
	for _, path := range []string{filepath.Dir(dir), dir, filepath.Join(dir, Socket)} {
		if err := os.Chmod(path, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	answer := make(chan string, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		none := ^uintptr(0)
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, none, uintptr(uid), none); errno != 0 {
			answer <- errno.Error()
			return
		}
		conn, err := net.Dial("unix", filepath.Join(dir, Socket))
		if err != nil {
			answer <- err.Error()
			return
		}
		defer conn.Close()
		send(conn, frame(t, kindHello, podlaneKube), frame(t, kindLeases, someLeases(3)))
		data, _ := io.ReadAll(conn) // the server may reset the connection
		answer <- string(data)
	}()
	if got := <-answer; got != "" {
		t.Errorf("another user receives %q, want nothing", got)
	}
	f := feeds.until(t, "the refusal", func(f Feed) bool { return strings.Contains(f.Fault, "user id") })
	if f.Connected || f.Leases != nil || !strings.Contains(f.Fault, "refused") {
		t.Errorf("after the refusal: %+v", f)
	}
}

func TestRefusedConnections(t *testing.T) {
	version, node, text := podlaneKube, podlaneKube, podlaneKube
	version.Version, version.Program = 2, "podlane-kube v9"
	node.Node = "n2"
	text.Program = "\x1b[31m"
	for name, row := range map[string]struct {
		stream []byte
		want   []string
	}{
		"another version":        {frame(t, kindHello, version), []string{"podlane-kube v9 uses version 2", "podlaned v1 uses version 1"}},
		"another node":           {frame(t, kindHello, node), []string{`podlane-kube v1 is for the node "n2"`, `podlaned v1 is for the node "n1"`}},
		"a program as no text":   {frame(t, kindHello, text), []string{"is invalid"}},
		"an HTTP client":         {[]byte("GET /status HTTP/1.1\r\n\r\n"), []string{"not podlane's channel protocol", "GET /status"}},
		"a set before the hello": {frame(t, kindLeases, someLeases(3)), []string{`the first message is "leases"`}},
		"a hello that is null":   {[]byte(`{"kind":"hello","size":4}` + "\nnull"), []string{"not a JSON object"}},
		"a silent one":           {nil, []string{"no hello within 300ms"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			_, feeds, _ := serve(t, dir, shortTiming)
			conn := dial(t, dir)
			if row.stream != nil {
				send(conn, row.stream, frame(t, kindLeases, someLeases(3)))
			}
			f := feeds.until(t, "the refusal", func(f Feed) bool { return strings.Contains(f.Fault, "refused") })
			for _, want := range append(row.want, "process ") {
				if !strings.Contains(f.Fault, want) {
					t.Errorf("fault %q, want one with %q", f.Fault, want)
				}
			}
			if feeds.some(func(f Feed) bool { return f.Connected || f.Leases != nil }) {
				t.Error("it was accepted")
			}
			if data, _ := io.ReadAll(conn); len(data) > 1000 { // it may be reset
				t.Errorf("%d bytes received", len(data))
			}
			feed(t, dir, defaultTiming, podlaneKube)
			feeds.until(t, "podlane-kube connects", connected)
		})
	}
}

// A refused connection is a fault while another one is connected, and does not disturb that one.
func TestRefusalWhileAFeederIsConnected(t *testing.T) {
	dir := t.TempDir()
	_, feeds, _ := serve(t, dir, defaultTiming)
	c, remotes := feed(t, dir, defaultTiming, podlaneKube)
	c.SendLeases(someLeases(3))
	feeds.until(t, "the set", func(f Feed) bool { return f.Leases != nil })
	send(dial(t, dir), []byte("GET / HTTP/1.1\r\n\r\n"))
	f := feeds.until(t, "the refusal", func(f Feed) bool { return strings.Contains(f.Fault, "refused") })
	if !f.Connected || f.Leases.Revision != 3 {
		t.Errorf("with a refused connection: %+v", f)
	}
	c.SendLeases(someLeases(4))
	feeds.until(t, "the next set", func(f Feed) bool { return f.Leases.Revision == 4 })
	if remotes.some(func(r Remote) bool { return !r.Connected }) {
		t.Error("the feeder was disconnected")
	}
}

// The notice of a refusal ends after a time.
func TestNoticeEnds(t *testing.T) {
	dir := t.TempDir()
	s, feeds, _ := serve(t, dir, defaultTiming)
	feed(t, dir, shortTiming, podlaneKube)
	feeds.until(t, "a feeder", connected)
	s.feedMu.Lock()
	s.notice = notice{"a refusal", time.Now().Add(-noticeFor + 100*time.Millisecond)}
	s.feedMu.Unlock()
	feeds.until(t, "the notice", func(f Feed) bool { return f.Connected && f.Fault == "a refusal" })
	feeds.until(t, "its end", func(f Feed) bool { return f.Connected && f.Fault == "" })
}

func TestSecondFeederReplacesTheFirst(t *testing.T) {
	dir := t.TempDir()
	_, feeds, _ := serve(t, dir, defaultTiming)
	first := dial(t, dir)
	send(first, frame(t, kindHello, podlaneKube), frame(t, kindLeases, someLeases(3)))
	feeds.until(t, "the first set", func(f Feed) bool { return f.Leases != nil })
	second := podlaneKube
	second.Program = "podlane-kube v2"
	c, remotes := feed(t, dir, defaultTiming, second)
	f := feeds.until(t, "the second feeder", func(f Feed) bool { return f.Connected && f.Program == "podlane-kube v2" })
	if f.Leases != nil {
		t.Errorf("the set of the first feeder counts as the second one's: %+v", f)
	}
	for _, want := range []string{"podlane-kube v2 (process ", "replaced podlane-kube v1 (process "} {
		if !strings.Contains(f.Fault, want) {
			t.Errorf("fault %q, want one with %q", f.Fault, want)
		}
	}
	if _, err := io.ReadAll(first); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the first connection: %v, want its end", err)
	}
	send(first, frame(t, kindLeases, someLeases(99)))
	c.SendLeases(someLeases(4))
	feeds.until(t, "the second set", func(f Feed) bool { return f.Leases != nil })
	if feeds.some(func(f Feed) bool { return f.Leases != nil && f.Leases.Revision == 99 }) {
		t.Error("the first feeder still feeds")
	}
	if remotes.some(func(r Remote) bool { return !r.Connected }) {
		t.Error("the second feeder was disconnected")
	}
}

// A feeder confirms sets that are older than the hello allows. If a newer one arrives from another feeder before this one
// replaces it, the hello is out of date.
func TestFeederWithAnOldHelloIsRefused(t *testing.T) {
	dir := t.TempDir()
	_, feeds, _ := serve(t, dir, defaultTiming)
	first, second := dial(t, dir), dial(t, dir)
	if h, err := readHeader(bufio.NewReader(second)); err != nil || h.Kind != kindHello {
		t.Fatalf("message %q, error %v, want the hello", h.Kind, err)
	}
	send(first, frame(t, kindHello, podlaneKube), frame(t, kindLeases, someLeases(3)))
	feeds.until(t, "the first set", func(f Feed) bool { return f.Leases != nil })
	send(second, frame(t, kindHello, podlaneKube), frame(t, kindLeases, someLeases(2)))
	feeds.until(t, "the end of both", func(f Feed) bool { return !f.Connected })
	third := dial(t, dir)
	send(third, frame(t, kindHello, podlaneKube), frame(t, kindLeases, someLeases(4)))
	feeds.until(t, "the next connection", func(f Feed) bool { return f.Connected && f.Leases != nil && f.Leases.Revision == 4 })
	if feeds.some(func(f Feed) bool { return f.Leases != nil && f.Leases.Revision == 2 }) {
		t.Error("the older set was delivered")
	}
}

// A set of which a part is missing is never applied, wherever it is cut.
func TestSetCutAtEveryByte(t *testing.T) {
	dir := t.TempDir()
	_, feeds, _ := serve(t, dir, defaultTiming)
	set := frame(t, kindLeases, someLeases(3))
	for i := range set {
		conn := dial(t, dir)
		send(conn, frame(t, kindHello, podlaneKube), set[:i])
		feeds.until(t, "the connection", connected)
		conn.Close()
		f := feeds.until(t, "its end", func(f Feed) bool { return !f.Connected })
		if want := "closed the connection"; !strings.Contains(f.Fault, want) || (i > 0) != strings.Contains(f.Fault, "inside a message") {
			t.Fatalf("cut after %d bytes: fault %q", i, f.Fault)
		}
	}
	if feeds.some(func(f Feed) bool { return f.Leases != nil }) {
		t.Error("a part of a set was applied")
	}
}

// A faulty message ends the connection. What was received before stays.
func TestFaultyMessages(t *testing.T) {
	for name, row := range map[string]struct{ stream, want string }{
		"no JSON":          {`{"kind":"leases","size":9}` + "\n{revision", `the message "leases" is invalid`},
		"no revision":      {`{"kind":"leases","size":2}` + "\n{}", "its revision is 0"},
		"a wrong size":     {`{"kind":"leases","size":12}` + "\n" + `{"revision":9}`, `the message "leases" is invalid`},
		"a list":           {`{"kind":"source","size":2}` + "\n[]", "not a JSON object"},
		"too large":        {`{"kind":"leases","size":99999999}` + "\n", "larger than the limit"},
		"another protocol": {"PRI * HTTP/2.0\r\n", "not podlane's channel protocol"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			_, feeds, _ := serve(t, dir, defaultTiming)
			conn := dial(t, dir)
			send(conn, frame(t, kindHello, podlaneKube), frame(t, kindLeases, someLeases(3)), []byte(row.stream))
			f := feeds.until(t, "the end", func(f Feed) bool { return f.Leases != nil && !f.Connected })
			if f.Leases.Revision != 3 || f.Source != nil || !strings.Contains(f.Fault, row.want) || !strings.Contains(f.Fault, "podlane-kube v1") {
				t.Errorf("%+v, want the set of revision 3 and a fault with %q", f, row.want)
			}
		})
	}
}

// Kinds of later versions are ignored, also large ones.
func TestUnknownKindsAreIgnored(t *testing.T) {
	dir := t.TempDir()
	_, feeds, _ := serve(t, dir, defaultTiming)
	conn := dial(t, dir)
	send(conn, frame(t, kindHello, podlaneKube), frame(t, "policies", strings.Repeat("x", 1<<20)),
		frame(t, kindAnnouncement, announcementOf("10.5.1.0-24")), frame(t, kindLeases, someLeases(3)))
	feeds.until(t, "the set after them", func(f Feed) bool { return f.Connected && f.Leases != nil })
}
