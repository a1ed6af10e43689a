package etcd

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
)

// restream is the stream of a watch, or of the renewal of a lease. If a member refuses it before it has answered anything, the
// stream is opened on the next member, and what was sent is sent again. As for any stream of gRPC, one goroutine may send while
// another receives.
type restream struct {
	ctx      context.Context
	open     func() (grpc.ClientStream, error)
	attempts *attempts // used by RecvMsg alone

	mu       sync.Mutex
	current  grpc.ClientStream
	answered bool
	closed   bool  // for sending
	sent     []any // until it is answered
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
			s.settle()
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

// settle records that a member serves the stream.
func (s *restream) settle() {
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

// SendMsg sends a message. While nothing was received, an error is for RecvMsg to return: the stream may be opened again.
func (s *restream) SendMsg(m any) error {
	s.mu.Lock()
	if s.answered {
		s.mu.Unlock()
		return s.current.SendMsg(m) // it stays the same from now on
	}
	defer s.mu.Unlock()
	s.sent = append(s.sent, m)
	_ = s.current.SendMsg(m)
	return nil
}

// CloseSend ends the sending.
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
