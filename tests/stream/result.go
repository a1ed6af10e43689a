package stream

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Result is what became of a stream.
type Result struct {
	Sent       int // datagrams, both ways
	Lost       int // of them; one that the sender's own kernel refused counts too
	Duplicated int // arrivals of datagrams that had arrived before
	// LongestGap is the longest time for which what was sent did not arrive: from the sending of the last datagram
	// before a loss to the sending of the first after it that arrived. It is zero where nothing was lost, however
	// slow the machine is.
	LongestGap time.Duration

	Connections int     // TCP connections
	Broken      int     // of them: ended early, gave no answer for 30 s, or a wrong one
	Causes      []error // one for each that is broken
}

// Add is the result of both.
func (r Result) Add(b Result) Result {
	return Result{
		Sent: r.Sent + b.Sent, Lost: r.Lost + b.Lost, Duplicated: r.Duplicated + b.Duplicated,
		LongestGap:  max(r.LongestGap, b.LongestGap),
		Connections: r.Connections + b.Connections, Broken: r.Broken + b.Broken, Causes: slices.Concat(r.Causes, b.Causes),
	}
}

// Err is nil where nothing was lost, duplicated or broken.
func (r Result) Err() error {
	if r.Lost == 0 && r.Duplicated == 0 && r.Broken == 0 {
		return nil
	}
	return errors.New(r.String())
}

func (r Result) String() string {
	text := fmt.Sprintf("%d datagrams sent, %d lost, %d duplicated, longest gap %v; %d of %d connections broken",
		r.Sent, r.Lost, r.Duplicated, r.LongestGap.Round(time.Millisecond), r.Broken, r.Connections)
	if len(r.Causes) > 0 {
		text += fmt.Sprintf(" (%v)", r.Causes[0])
	}
	return text
}
