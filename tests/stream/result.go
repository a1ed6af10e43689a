package stream

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Result is the result of a stream.
type Result struct {
	Sent       int // datagrams, both ways
	Lost       int // of them, with those that the sender's kernel refused
	Duplicated int // further arrivals of the same datagrams
	// LongestGap is the longest time in which no sent datagram arrived. It starts when the last datagram before a loss
	// was sent, and ends when the first one after it was sent. Without a loss it is zero, even on a slow machine.
	LongestGap time.Duration
	Gaps       int // runs of lost datagrams, in the direction that has most of them

	Connections int     // TCP connections
	Broken      int     // of them: ended early, gave no answer for 30 s, or a wrong one
	Causes      []error // one for each broken connection
}

// Add returns the sum of two results.
func (r Result) Add(b Result) Result {
	return Result{
		Sent: r.Sent + b.Sent, Lost: r.Lost + b.Lost, Duplicated: r.Duplicated + b.Duplicated,
		LongestGap:  max(r.LongestGap, b.LongestGap),
		Gaps:        max(r.Gaps, b.Gaps),
		Connections: r.Connections + b.Connections, Broken: r.Broken + b.Broken, Causes: slices.Concat(r.Causes, b.Causes),
	}
}

// Err returns an error if anything was lost, duplicated or broken.
func (r Result) Err() error {
	if r.Lost == 0 && r.Duplicated == 0 && r.Broken == 0 {
		return nil
	}
	return errors.New(r.String())
}

func (r Result) String() string {
	text := fmt.Sprintf("%d datagrams sent, %d lost, %d duplicated, %d gaps, longest gap %v; %d of %d connections broken",
		r.Sent, r.Lost, r.Duplicated, r.Gaps, r.LongestGap.Round(time.Millisecond), r.Broken, r.Connections)
	if len(r.Causes) > 0 {
		text += fmt.Sprintf(" (%v)", r.Causes[0])
	}
	return text
}
