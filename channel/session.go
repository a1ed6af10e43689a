package channel

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// timing holds the durations of the protocol.
type timing struct {
	hello     time.Duration // the most that the peer's hello may take
	heartbeat time.Duration // between two messages if nothing changes
	silence   time.Duration // the most from the end of one message to the end of the next
	write     time.Duration // the most that one message may take to be read by the peer
}

var defaultTiming = timing{hello: 5 * time.Second, heartbeat: 5 * time.Second, silence: 15 * time.Second, write: 10 * time.Second}

// session is one connection and what was sent on it.
type session struct {
	conn   net.Conn
	reader *bufio.Reader
	timing timing
	peer   string         // the peer's program, for errors
	seen   int64          // the revision in the peer's hello
	sends  []string       // the kinds that this side sends, in order; the last one is the heartbeat
	sent   map[string]int // the version of each kind that was sent; only the writer uses it

	once sync.Once
	err  error // why this side ended it; set by once
}

func newSession(conn net.Conn, p timing, peer string, sends ...string) *session {
	return &session{conn: conn, reader: bufio.NewReaderSize(conn, maxHeader), timing: p, peer: peer, sends: sends, sent: map[string]int{}}
}

// end closes the connection. The first reason counts.
func (s *session) end(reason error) {
	s.once.Do(func() {
		s.err = reason
		s.conn.Close()
	})
}

// handshake sends this side's hello and reads the peer's. It does not compare them.
func (s *session) handshake(own Hello) (peer Hello, err error) {
	if err := s.conn.SetDeadline(time.Now().Add(s.timing.hello)); err != nil {
		return peer, err
	}
	err = writeFrame(s.conn, kindHello, own)
	var h header
	if err == nil {
		h, err = readHeader(s.reader)
	}
	if err == nil && h.Kind != kindHello {
		return peer, fmt.Errorf("%w: the first message is %.60q, want %q", errForeign, h.Kind, kindHello)
	}
	var body []byte
	if err == nil {
		body, err = readBody(s.reader, h)
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return peer, fmt.Errorf("no hello within %v", s.timing.hello)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EPIPE):
		return peer, errors.New("the connection was closed before the hello")
	case err != nil:
		return peer, err
	}
	if err := decodeBody(kindHello, body, &peer); err != nil {
		return peer, err
	}
	return peer, s.conn.SetDeadline(time.Time{})
}

// run sends what is in the outbox and receives messages until the connection or ctx ends. It returns the reason, in words.
// receive gets each message, whole. An error of it ends the connection.
func (s *session) run(ctx context.Context, out *outbox, receive func(kind string, body []byte) error) error {
	stop := context.AfterFunc(ctx, func() { s.end(ctx.Err()) })
	defer stop()
	ended := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		if err := s.write(out, ended); err != nil {
			s.end(s.explain(err, s.timing.write, "does not read"))
		}
	})
	s.end(s.explain(s.read(receive), s.timing.silence, "sent no complete message"))
	close(ended)
	writer.Wait()
	return s.err
}

// explain makes a sentence from an error of the connection.
func (s *session) explain(err error, limit time.Duration, late string) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%s %s for %v", s.peer, late, limit)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s closed the connection inside a message, which is ignored", s.peer)
	case errors.Is(err, io.EOF), errors.Is(err, unix.EPIPE), errors.Is(err, unix.ECONNRESET):
		return fmt.Errorf("%s closed the connection", s.peer)
	}
	return fmt.Errorf("the connection with %s ended: %w", s.peer, err)
}

// read receives messages until an error.
func (s *session) read(receive func(kind string, body []byte) error) error {
	for {
		if err := s.conn.SetReadDeadline(time.Now().Add(s.timing.silence)); err != nil {
			return err
		}
		h, err := readHeader(s.reader)
		if err != nil {
			return err
		}
		switch h.Kind {
		case kindLeases, kindSource, kindAnnouncement, kindAlive:
			var body []byte
			if body, err = readBody(s.reader, h); err == nil {
				err = receive(h.Kind, body)
			}
		default:
			err = skipBody(s.reader, h)
		}
		if err != nil {
			return err
		}
	}
}

// write sends what the peer does not have yet, and heartbeats, until ended is closed or an error.
func (s *session) write(out *outbox, ended <-chan struct{}) error {
	beat := time.NewTicker(s.timing.heartbeat)
	defer beat.Stop()
	for {
		changed, err := s.writeNew(out)
		if err != nil {
			return err
		}
		select {
		case <-ended:
			return nil
		case <-changed:
		case <-beat.C:
			if err := s.writeHeartbeat(out); err != nil {
				return err
			}
		}
	}
}

// writeNew sends the messages that the peer does not have yet. It returns a channel that is closed when there is another one.
func (s *session) writeNew(out *outbox) (changed <-chan struct{}, err error) {
	for i, kind := range s.sends {
		newest, c := out.get(kind)
		if i == 0 {
			changed = c // a put of any kind after this is sent now or in the next call
		}
		if set, ok := newest.message.(Leases); newest.version == s.sent[kind] || ok && set.Unconfirmed(s.seen) {
			continue
		}
		if err := s.writeMessage(kind, newest.message); err != nil {
			return nil, err
		}
		s.sent[kind] = newest.version
	}
	return changed, nil
}

// writeHeartbeat sends the last kind again, or an empty message if there is none.
func (s *session) writeHeartbeat(out *outbox) error {
	kind := s.sends[len(s.sends)-1]
	if newest, _ := out.get(kind); newest.version > 0 {
		return s.writeMessage(kind, newest.message)
	}
	return s.writeMessage(kindAlive, struct{}{})
}

func (s *session) writeMessage(kind string, message any) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(s.timing.write)); err != nil {
		return err
	}
	return writeFrame(s.conn, kind, message)
}
