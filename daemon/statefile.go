package main

import "time"

// minSave is the shortest time between two writes of the saved state. It is longer if they take long.
const minSave = time.Second

// stateFile holds the saved state as read at the start. It decides when a changed state is written: soon, but not too
// often.
type stateFile struct {
	loaded   savedState
	changed  bool      // the state has changed since the last write
	earliest time.Time // when it may be written again
}

// update records that the loop has received a state. Only the state of a held lease is saved.
func (f *stateFile) update(held, changed bool) { f.changed = held && (f.changed || changed) }

// markChanged records a change of what is saved beside the lease set.
func (f *stateFile) markChanged(held bool) { f.changed = f.changed || held }

// due reports whether the state is to be written. last: the run ends, so minSave does not delay the write.
func (f *stateFile) due(now time.Time, last bool) bool {
	return f.changed && (last || !now.Before(f.earliest))
}

// dueIn returns the time until a changed state is to be written. A crash must not lose it for long. It is 0 if nothing has
// changed.
func (f *stateFile) dueIn(now time.Time) time.Duration {
	if !f.changed {
		return 0
	}
	return max(f.earliest.Sub(now), minInterval)
}

// written records the end of a write.
func (f *stateFile) written(began, ended time.Time, ok bool) {
	f.changed = !ok
	f.earliest = ended.Add(max(minSave, 20*ended.Sub(began)))
}
