package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// size is the size of a message in bytes. A message begins with two numbers of 8 bytes. The first one is the turn's. In
// an answer, the second one is how many messages the server has received since its previous answer. In other messages,
// it is 1 if the client wants an answer, and otherwise 0.
const size = 64

// warmUp is the time before the first recorded turn. patience is how long an answer may take.
const (
	warmUp   = 30 * time.Millisecond
	patience = 200 * time.Millisecond
)

// socket is a connected socket whose calls block.
type socket struct{ fd int }

// result holds the figures of one client. Its names are those of the printed JSON.
type result struct {
	Seconds  float64 // of all recorded turns
	Sent     int     // messages
	Received int     // messages that the server received, by its own count
	Turns    int     // answers
	P50, P99 float64 // seconds for a turn
}

// serve answers until the client ends.
func (s socket) serve() error {
	var m [size]byte
	for received := uint64(0); ; {
		switch err := s.receive(m[:]); {
		case errors.Is(err, io.EOF), errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ECONNRESET):
			return nil
		case err != nil:
			return err
		}
		received++
		if binary.BigEndian.Uint64(m[8:]) == 0 {
			continue
		}
		binary.BigEndian.PutUint64(m[8:], received)
		if err := s.send(m[:]); err != nil {
			return err
		}
		received = 0
	}
}

// ask sends bursts of messages. It sends each burst after the answer to the previous one. A turn without an answer is
// lost: it counts as sent, not as a turn.
func (s socket) ask(lasting time.Duration, burst int) (r result, err error) {
	var number uint64
	for began := time.Now(); time.Since(began) < warmUp; number++ {
		if _, err := s.turn(number, burst); err != nil && !errors.Is(err, unix.EAGAIN) {
			return r, err
		}
	}
	turns := make([]time.Duration, 0, 1<<20) // no allocation while it measures
	began := time.Now()
	for last := began; last.Sub(began) < lasting; number++ {
		received, err := s.turn(number, burst)
		if err != nil && !errors.Is(err, unix.EAGAIN) {
			return r, err
		}
		now := time.Now()
		r.Sent, r.Received, r.Seconds = r.Sent+burst, r.Received+received, now.Sub(began).Seconds()
		if err == nil {
			turns = append(turns, now.Sub(last))
		}
		last = now
	}
	if len(turns) == 0 {
		return r, fmt.Errorf("no answer to %d messages", r.Sent)
	}
	slices.Sort(turns)
	r.Turns, r.P50, r.P99 = len(turns), quantile(turns, 0.5).Seconds(), quantile(turns, 0.99).Seconds()
	return r, nil
}

// turn sends a burst and waits for its answer. It returns how many messages the server received. The error is EAGAIN
// if there was no answer.
func (s socket) turn(number uint64, burst int) (received int, err error) {
	var m [size]byte
	binary.BigEndian.PutUint64(m[:], number)
	for i := range burst {
		if i == burst-1 {
			binary.BigEndian.PutUint64(m[8:], 1)
		}
		if err := s.send(m[:]); err != nil {
			return 0, err
		}
	}
	for {
		if err := s.receive(m[:]); err != nil {
			return received, err
		}
		received += int(binary.BigEndian.Uint64(m[8:]))
		if binary.BigEndian.Uint64(m[:]) == number { // an earlier number is a late answer
			return received, nil
		}
	}
}

// send sends a message.
func (s socket) send(m []byte) error {
	n, err := s.call(unix.SYS_WRITE, m)
	if err == nil && n < len(m) {
		err = io.ErrShortWrite
	}
	return err
}

// receive receives a message. Over TCP it may arrive in parts.
func (s socket) receive(m []byte) error {
	for got := 0; got < len(m); {
		n, err := s.call(unix.SYS_READ, m[got:])
		if err == nil && n == 0 {
			err = io.EOF
		}
		if err != nil {
			return err
		}
		got += n
	}
	return nil
}

// call makes a read or write call that Go's scheduler does not notice. Otherwise other threads of Go's runtime run
// between the calls: on one core, p99 over loopback was 49 µs instead of 20.
func (s socket) call(number uintptr, m []byte) (int, error) {
	for {
		n, _, errno := unix.RawSyscall(number, uintptr(s.fd), uintptr(unsafe.Pointer(unsafe.SliceData(m))), uintptr(len(m)))
		switch errno {
		case unix.EINTR:
		case 0:
			return int(n), nil
		default:
			return 0, errno
		}
	}
}

// quantile returns the smallest value that a fraction q of sorted values do not exceed.
func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}
