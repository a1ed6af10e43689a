package main

import (
	"context"
	"time"

	"github.com/podlane/podlane/subnet/store"
)

// event is what ended a wait of the loop.
type event struct {
	kind  eventKind
	state store.State // only of stateReceived
}

type eventKind int

const (
	contextEnded  eventKind = iota
	stateReceived           // the store delivered a state
	kernelChanged           // the kernel's state may have changed
	timeout                 // the longest wait is over
	beatDue                 // the loop must show that it is alive
	filesDue                // a file is due
	recoveryDue             // the end of a problem can be logged
)

// sources holds the channels that the loop waits for. A nil channel delivers nothing.
type sources struct {
	states                         <-chan store.State
	kernel                         <-chan struct{}
	timer, beats, files, recovered <-chan time.Time
}

// idle waits and returns what came. It changes nothing.
func idle(ctx context.Context, from sources) event {
	select {
	case <-ctx.Done():
		return event{kind: contextEnded}
	case s := <-from.states:
		return event{stateReceived, s}
	case <-from.kernel:
		return event{kind: kernelChanged}
	case <-from.timer:
		return event{kind: timeout}
	case <-from.beats:
		return event{kind: beatDue}
	case <-from.files:
		return event{kind: filesDue}
	case <-from.recovered:
		return event{kind: recoveryDue}
	}
}
