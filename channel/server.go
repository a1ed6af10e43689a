package channel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/podlane/podlane/localsocket"
	"github.com/podlane/podlane/pause"
)

// Feed is what podlaned received last from its feeder. It is a value. Its Leases and Source must not be changed. One exception:
// the only receiver may drop the list in Leases after it has parsed it.
type Feed struct {
	Connected  bool
	Connection int       // the number of the newest connection; 0: there was none
	Program    string    // name and version of the connected feeder, or of the last one
	Fault      string    // why there is no connection, or which one was refused or replaced within noticeFor; empty: neither, or no feeder has connected yet
	Leases     *Leases   // the newest from the newest connection; nil: none yet
	Source     *Source   // the newest from the newest connection; nil: none yet
	At         time.Time // when the newest message arrived; zero: never
}

const (
	// noticeFor is how long a refused or replaced connection is reported while another one is connected.
	noticeFor = 30 * time.Second

	// maxHandshakes is the maximum number of connections that have not sent their hello yet.
	maxHandshakes = 8

	// acceptEvery is the time between two attempts to accept a connection if the first one fails.
	acceptEvery = time.Second
)

// Server is podlaned's side.
type Server struct {
	listener   net.Listener
	timing     timing
	uid        uint32 // the user that can connect
	out        *outbox
	handshakes chan struct{} // has one element for each handshake in progress

	mu       sync.Mutex
	revision int64   // of the newest set
	active   *feeder // the newest one; nil: there was none

	feedMu sync.Mutex // serializes the calls of deliver
	feed   Feed       // without the text of notice
	notice notice
}

// feeder is a connection that was accepted.
type feeder struct {
	session *session
	label   string        // the name and version of its program
	told    int64         // the revision in this side's hello
	done    chan struct{} // closed after its last delivery
}

// notice is a fault of another connection. It does not end the active one.
type notice struct {
	text string
	at   time.Time
}

// Listen makes the socket in podlaned's run folder. Only the user of this process can connect. The caller must hold
// podlaned's lock: the socket of an earlier podlaned is replaced.
func Listen(ctx context.Context, runDir string) (*Server, error) {
	l, err := localsocket.Listen(ctx, filepath.Join(runDir, Socket), 0o600)
	if err != nil {
		return nil, err
	}
	uid := uint32(os.Geteuid()) //nolint:gosec // user ids have 32 bits
	return &Server{listener: l, timing: defaultTiming, uid: uid, out: newOutbox(), handshakes: make(chan struct{}, maxHandshakes)}, nil
}

// Close removes the socket. It does not end connections; the context of Run does.
func (s *Server) Close() error {
	if err := s.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close the channel: %w", err)
	}
	return nil
}

// Announce sets what this node announces. The newest one is sent after each hello and after each change.
func (s *Server) Announce(a Announcement) { s.out.put(kindAnnouncement, a) }

// SetRevision sets the revision in the next hello, before a set arrives. Each set sets it, too.
func (s *Server) SetRevision(revision int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision = revision
}

// newest returns the revision of the newest set.
func (s *Server) newest() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.revision
}

// Run accepts feeders until ctx ends. The newest feeder replaces the previous one. hello is this side's;
// its Version and Revision are filled in.
//
// Run calls deliver once at its start, and after each message, heartbeat and change of the connection. It makes one call at a
// time. deliver must return soon; it may call Announce.
func (s *Server) Run(ctx context.Context, hello Hello, deliver func(Feed)) {
	ctx, cancel := context.WithCancel(ctx)
	var connections sync.WaitGroup
	defer connections.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { s.listener.Close() })
	defer stop()
	s.update(deliver, func(*Feed) {})
	for {
		select {
		case s.handshakes <- struct{}{}:
		case <-ctx.Done():
			return
		}
		conn, err := s.listener.Accept()
		if err == nil {
			connections.Go(func() { s.serve(ctx, conn, hello, deliver) })
			continue
		}
		<-s.handshakes
		if errors.Is(err, net.ErrClosed) {
			<-ctx.Done() // Close was called
			return
		}
		s.setNotice(deliver, fmt.Errorf("accept a connection: %w", err))
		pause.For(ctx, acceptEvery)
	}
}

// serve makes the handshake on one connection and receives its messages until it ends.
func (s *Server) serve(ctx context.Context, conn net.Conn, hello Hello, deliver func(Feed)) {
	defer conn.Close()
	f, err := s.handshake(ctx, conn, hello)
	<-s.handshakes
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		s.setNotice(deliver, fmt.Errorf("a connection to the channel was refused: %w", err))
		return
	}
	defer close(f.done)
	s.replace(deliver, f)
	if s.newest() != f.told {
		return // its first set could be older than the newest one. It connects again
	}
	s.update(deliver, func(feed *Feed) {
		*feed = Feed{Connected: true, Connection: feed.Connection + 1, Program: f.label, At: time.Now()}
	})
	err = f.session.run(ctx, s.out, func(kind string, body []byte) error { return s.receive(deliver, kind, body) })
	if ctx.Err() == nil {
		s.update(deliver, func(feed *Feed) { feed.Connected, feed.Fault = false, err.Error() })
	}
}

// handshake checks who connected, and exchanges the hellos.
func (s *Server) handshake(ctx context.Context, conn net.Conn, own Hello) (*feeder, error) {
	cred, err := credentials(conn)
	if err != nil {
		return nil, err
	}
	process := "a process of another PID namespace"
	if cred.Pid > 0 {
		process = fmt.Sprintf("process %d", cred.Pid)
	}
	if cred.Uid != s.uid {
		return nil, fmt.Errorf("%s has user id %d, and only user id %d can feed podlaned", process, cred.Uid, s.uid)
	}
	own.Version, own.Revision = Version, s.newest()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	sess := newSession(conn, s.timing, process, kindAnnouncement)
	peer, err := sess.handshake(own)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", process, err)
	}
	sess.peer = fmt.Sprintf("%s (%s)", peer.label(), process)
	if err := checkHello(own, peer); err != nil {
		return nil, fmt.Errorf("%s: %w", process, err)
	}
	return &feeder{session: sess, label: peer.label(), told: own.Revision, done: make(chan struct{})}, nil
}

// replace makes a feeder the active one. It ends the previous one, and waits until nothing of that is delivered any more.
func (s *Server) replace(deliver func(Feed), f *feeder) {
	s.mu.Lock()
	previous := s.active
	s.active = f
	s.mu.Unlock()
	if previous == nil {
		return
	}
	select {
	case <-previous.done:
		return
	default:
	}
	reason := fmt.Errorf("%s connected to the channel and replaced %s", f.session.peer, previous.session.peer)
	previous.session.end(reason)
	<-previous.done
	s.setNotice(deliver, reason)
}

// receive applies one whole message.
func (s *Server) receive(deliver func(Feed), kind string, body []byte) error {
	var leases *Leases
	var source *Source
	switch kind {
	case kindLeases:
		leases = &Leases{}
		if err := decodeBody(kind, body, leases); err != nil {
			return err
		}
		if err := leases.check(); err != nil {
			return fmt.Errorf("the message %q is invalid: %w", kind, err)
		}
		s.SetRevision(leases.Revision)
	case kindSource:
		source = &Source{}
		if err := decodeBody(kind, body, source); err != nil {
			return err
		}
	case kindAlive:
	default:
		return nil // only podlaned sends it
	}
	s.update(deliver, func(f *Feed) {
		f.At = time.Now()
		if leases != nil {
			f.Leases = leases
		}
		if source != nil {
			f.Source = source
		}
	})
	return nil
}

// setNotice records and delivers a fault that does not end the active connection.
func (s *Server) setNotice(deliver func(Feed), fault error) {
	s.update(deliver, func(f *Feed) {
		s.notice = notice{fault.Error(), time.Now()}
		if !f.Connected {
			f.Fault = fault.Error()
		}
	})
}

// update changes the feed and delivers it.
func (s *Server) update(deliver func(Feed), change func(*Feed)) {
	s.feedMu.Lock()
	defer s.feedMu.Unlock()
	change(&s.feed)
	feed := s.feed
	if feed.Connected && s.notice.text != "" && time.Since(s.notice.at) < noticeFor {
		feed.Fault = s.notice.text
	}
	deliver(feed)
}
