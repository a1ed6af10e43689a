package etcd

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
)

// restream is the stream of a watch, or of the renewal of a lease. If a member refuses it before its first answer, the
// stream is opened on the next member, and the messages are sent again. As for any stream of gRPC, one goroutine may send
// while another receives.
type restream struct {
	ctx      context.Context
	open     func() (grpc.ClientStream, error)
	attempts *attempts // used by RecvMsg alone

	mu       sync.Mutex
	current  grpc.ClientStream
	answered bool
	closed   bool  // for sending
	sent     []any // messages to send again; none after the first answer
}

func openRestream(ctx context.Context, members int, open func() (grpc.ClientStream, error)) (grpc.ClientStream, error) {
	first, err := open()
	if err != nil {
		return nil, err
	}
	return &restream{ctx: ctx, open: open, attempts: newAttempts(members, true), current: first}, nil
}

func (s *restream) now() (current grpc.ClientStream, answered bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current, s.answered
}

// RecvMsg receives a message.
func (s *restream) RecvMsg(m any) error {
	for {
		current, answered := s.now()
		err := current.RecvMsg(m)
		if answered {
			return err
		}
		if err == nil {
			s.markServed()
			return nil
		}
		at, _ := peer.FromContext(current.Context())
		if !s.attempts.again(s.ctx, at, err) {
			return s.attempts.conclude(err)
		}
		if err := s.reopen(); err != nil {
			return err
		}
	}
}

// markServed records that the member has answered.
func (s *restream) markServed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answered, s.sent = true, nil
}

// reopen opens the stream on the next member.
func (s *restream) reopen() error {
	next, err := s.open()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = next
	for _, m := range s.sent {
		if next.SendMsg(m) != nil {
			return nil // RecvMsg returns the reason
		}
	}
	if s.closed {
		_ = next.CloseSend() // always nil
	}
	return nil
}

// SendMsg sends a message. Before the first answer RecvMsg returns the error instead, because the stream may be opened
// again.
func (s *restream) SendMsg(m any) error {
	s.mu.Lock()
	if s.answered {
		s.mu.Unlock()
		return s.current.SendMsg(m) // it does not change any more
	}
	defer s.mu.Unlock()
	s.sent = append(s.sent, m)
	_ = s.current.SendMsg(m)
	return nil
}

// CloseSend closes the sending side.
func (s *restream) CloseSend() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return s.current.CloseSend()
}

// Header returns the header of the member that answers.
func (s *restream) Header() (metadata.MD, error) {
	current, _ := s.now()
	return current.Header()
}

// Trailer returns the trailer of the member that answers.
func (s *restream) Trailer() metadata.MD {
	current, _ := s.now()
	return current.Trailer()
}

// Context returns the stream's context.
func (s *restream) Context() context.Context {
	current, _ := s.now()
	return current.Context()
}
