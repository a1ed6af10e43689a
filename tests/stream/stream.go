// Package stream measures what a fault costs the pods. Numbered datagrams go both ways between two places, and TCP
// connections between them stay in use. At the end it returns how many of them were lost.
//
//	s, err := stream.Start(ctx, stream.End{Place: a, Addr: ...}, stream.End{Place: b, Addr: ...}, stream.Options{Connections: 4})
//	... disturb ...
//	result := s.Stop()
package stream

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// Place is where sockets are opened: a node, a pod or the outside of a lab. Do runs f in its network namespace.
type Place interface{ Do(f func() error) error }

// End is one end of a stream. Addr is an address of the place; both ends have one of the same family.
type End struct {
	Place Place
	Addr  netip.Addr
}

// Options is how much a stream sends. The zero value sends only datagrams.
type Options struct {
	Every       time.Duration // between two datagrams of a direction; 0: 1 ms
	Size        int           // of a datagram's payload in bytes, 16 to 65,507; 0: 64
	Connections int           // TCP connections from the first end to the second, with a request every 10 ms
}

func (o Options) withDefaults() (Options, error) {
	if o.Every == 0 {
		o.Every = time.Millisecond
	}
	if o.Size == 0 {
		o.Size = 64
	}
	if o.Every < 0 || o.Size < headerSize || o.Size > maxSize || o.Connections < 0 {
		return o, fmt.Errorf("a stream of %d bytes every %v beside %d connections: out of range", o.Size, o.Every, o.Connections)
	}
	return o, nil
}

// Stream is a running stream. Only one goroutine at a time may call its methods.
type Stream struct {
	flows       [2]*flow // there and back
	connections *connections
	stop        context.CancelFunc // ends the sending
	receivers   sync.WaitGroup
	senders     sync.WaitGroup
	result      *Result // nil: it runs
}

// Start opens the sockets and the connections, and returns when datagrams arrive both ways. Earlier datagrams do not
// count, so only a fault can lose some. ctx bounds the start, which takes at most 10 s. The caller must call Stop
// unless there is an error.
func Start(ctx context.Context, a, b End, o Options) (*Stream, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	flows, err := open(a, b)
	if err != nil {
		return nil, err
	}
	s := &Stream{flows: flows}
	sending, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	if s.connections, err = connect(ctx, sending, a, b, o.Connections); err != nil {
		stop()
		s.close()
		return nil, err
	}
	for _, f := range s.flows {
		s.receivers.Go(f.receive)
		s.senders.Go(func() { f.send(sending, o) })
	}
	if err := s.Flowing(ctx); err != nil {
		return nil, fmt.Errorf("%w; until then: %s", err, s.Stop())
	}
	for _, f := range s.flows {
		f.tally.begin()
	}
	return s, nil
}

// startTimeout bounds the start, settleTimeout the wait for the last datagrams.
const (
	startTimeout  = 10 * time.Second
	settleTimeout = time.Second
)

// Flowing waits until datagrams that are sent from now on arrive both ways.
func (s *Stream) Flowing(ctx context.Context) error {
	var from [2]uint64
	for i, f := range s.flows {
		from[i] = f.tally.next()
	}
	if !await(ctx, func() bool { return s.flows[0].tally.arrivedSince(from[0]) && s.flows[1].tally.arrivedSince(from[1]) }) {
		return fmt.Errorf("wait for datagrams both ways: %w", ctx.Err())
	}
	return nil
}

// Stop ends the stream and returns its result. It waits up to a second for datagrams on their way, and for one more
// answer on each connection. A second call returns the same.
func (s *Stream) Stop() Result {
	if s.result == nil {
		r := s.end()
		s.result = &r
	}
	return *s.result
}

func (s *Stream) end() Result {
	s.stop()
	s.senders.Wait()
	settled, cancel := context.WithTimeout(context.Background(), settleTimeout)
	defer cancel()
	await(settled, func() bool { return s.flows[0].tally.missing()+s.flows[1].tally.missing() == 0 })
	r := s.connections.result()
	s.close()
	s.receivers.Wait()
	for _, f := range s.flows {
		r = r.Add(f.tally.result())
	}
	return r
}

func (s *Stream) close() {
	for _, f := range s.flows {
		_ = f.from.Close() // what it could not send is already lost
	}
}

// await checks a condition every millisecond. It reports whether the condition held before ctx ended.
func await(ctx context.Context, so func() bool) bool {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}
