// Package apiserver is an API server of Kubernetes for tests, in memory. It has Nodes, Events and ConfigMaps, in JSON. Lists
// and watches follow the rules of the real one for resource versions. A test makes its faults:
//
//   - Lag: an old copy answers
//   - Restore: all data go back to an earlier copy
//   - Refuse, Hang: it is away
//   - Fail: it answers with an error
//   - Deny, SetToken: the client has no rights
//   - Options.Certificate: the client's clock or CA is wrong
package apiserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Options describes a server. The zero value listens on a free port of 127.0.0.1, without TLS.
type Options struct {
	Address     string        // IP address and port to listen on
	Certificate *Certificate  // for TLS; nil: plain HTTP
	NoWatchList bool          // watches send no initial objects, as before Kubernetes 1.32
	Bookmarks   time.Duration // between two bookmarks of a watch; 0: 1 s
	Wait        time.Duration // the most that a request waits for a copy that is new enough; 0: 100 ms. The real one waits for 3 s
}

// Server is a running server. Its methods can be called from any goroutine.
type Server struct {
	options Options
	address string

	mu       sync.Mutex
	now      state         // the newest
	copy     *state        // an older one that lists and watches use; nil: the newest
	history  []change      // after compacted
	oldest   int64         // a watch from an earlier revision is refused
	woken    chan struct{} // closed at the next change of anything above
	denied   []string      // "verb resource"
	token    string        // that clients must send; empty: any
	hung     bool
	failing  *failure      // the answer to all requests; nil: none
	ended    chan struct{} // closed when all watches must end
	calls    map[string]int
	uids     int
	listener *http.Server // nil while it refuses connections
}

// Start starts a server. Close ends it.
func Start(o Options) (*Server, error) {
	if o.Address == "" {
		o.Address = "127.0.0.1:0"
	}
	if o.Bookmarks == 0 {
		o.Bookmarks = time.Second
	}
	if o.Wait == 0 {
		o.Wait = 100 * time.Millisecond
	}
	s := &Server{options: o, address: o.Address, now: newState(), woken: make(chan struct{}), ended: make(chan struct{}), calls: map[string]int{}}
	return s, s.listen()
}

// listen begins to accept connections.
func (s *Server) listen() error {
	l, err := net.Listen("tcp", s.address)
	if err != nil {
		return fmt.Errorf("listen as API server: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	server := &http.Server{Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: 10 * time.Second, ErrorLog: discard}
	if c := s.options.Certificate; c != nil {
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{c.pair}}
	}
	s.address, s.listener = l.Addr().String(), server
	go func() {
		serve := server.Serve
		if server.TLSConfig != nil {
			serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
		}
		if err := serve(l); !errors.Is(err, http.ErrServerClosed) {
			panic(err) // nothing else ends it
		}
	}()
	return nil
}

// Address returns the IP address and port.
func (s *Server) Address() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.address
}

// URL returns the address with its scheme.
func (s *Server) URL() string {
	if s.Certificate() != nil {
		return "https://" + s.Address()
	}
	return "http://" + s.Address()
}

// Refuse closes all connections, and refuses new ones until Accept.
func (s *Server) Refuse() error {
	s.mu.Lock()
	server := s.listener
	s.listener = nil
	s.mu.Unlock()
	if server == nil {
		return nil
	}
	return server.Close()
}

// Accept listens again, on the same port.
func (s *Server) Accept() error {
	s.mu.Lock()
	accepting := s.listener != nil
	s.mu.Unlock()
	if accepting {
		return nil
	}
	return s.listen()
}

// Close ends the server.
func (s *Server) Close() error {
	s.Hang(false)
	return s.Refuse()
}

// Certificate returns the certificate in use; nil: plain HTTP.
func (s *Server) Certificate() *Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.options.Certificate
}

// SetCertificate replaces the certificate of a server with TLS, and closes all connections.
func (s *Server) SetCertificate(c *Certificate) error {
	if err := s.Refuse(); err != nil {
		return err
	}
	s.set(func() { s.options.Certificate = c })
	return s.Accept()
}

// Hang makes the server accept requests and answer none, until Hang(false). Watches stay open and send nothing.
func (s *Server) Hang(on bool) { s.set(func() { s.hung = on }) }

// set changes a switch, and wakes all requests that wait.
func (s *Server) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	s.wake()
}

// wake wakes all requests that wait. The caller holds mu.
func (s *Server) wake() {
	close(s.woken)
	s.woken = make(chan struct{})
}

// await waits until so holds, which is called with mu held. It reports false if ctx ends first.
func (s *Server) await(ctx context.Context, so func() bool) bool {
	for {
		s.mu.Lock()
		yes, woken := so(), s.woken
		s.mu.Unlock()
		if yes {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-woken:
		}
	}
}

// running waits while the server hangs. It reports false if ctx ends first.
func (s *Server) running(ctx context.Context) bool {
	return s.await(ctx, func() bool { return !s.hung })
}
