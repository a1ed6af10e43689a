package main

import (
	"slices"
	"time"
)

// The times between two attempts to repair what a reconciliation left wrong.
const (
	minRetry = time.Second // doubled after each attempt
	maxRetry = 30 * time.Second
)

// kernelState holds the result of the last reconciliations.
type kernelState struct {
	verified time.Time     // when the kernel was last read and correct; zero: never
	refused  bool          // the kernel refused a write for a single peer
	notes    []string      // about other programs' entries and settings that may harm traffic
	retry    time.Duration // until the next attempt; 0: the last reconciliation left nothing to do
}

// everVerified reports whether this run has produced a verified overlay.
func (k *kernelState) everVerified() bool { return !k.verified.IsZero() }

// addNote adds a note to those of the backend's report.
func (k *kernelState) addNote(text string) {
	if text != "" && !slices.Contains(k.notes, text) {
		k.notes = append(slices.Clip(k.notes), text)
	}
}

// scheduleRetry sets the time until the next attempt. It doubles after each reconciliation that is not complete.
func (k *kernelState) scheduleRetry(complete bool) {
	if complete && !k.refused {
		k.retry = 0
		return
	}
	k.retry = min(max(2*k.retry, minRetry), maxRetry)
}
