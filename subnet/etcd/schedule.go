package etcd

import (
	"math/rand/v2"
	"time"
)

// task is what Run does at a time, though nothing has changed.
type task int

const (
	listAll     task = iota // list everything. While it is scheduled, the mirror may be wrong
	checkStore              // compare etcd with the mirror
	renewTTL                // renew the etcd lease of the own key
	decideAgain             // ask the machine what to do
	endWatch                // give up a watch that is silent
	deliverNews             // deliver a state that was delayed
	retryCall               // try again after a failure. Until then only deliverNews counts
	tasks                   // number of tasks
)

// schedule holds when each task is due. A task that is not scheduled is never due.
type schedule [tasks]struct {
	at  time.Time
	set bool
}

// set schedules a task, and replaces its former time.
func (s *schedule) set(t task, at time.Time) { s[t].at, s[t].set = at, true }

// setIf schedules a task at a time, or clears it for the zero time.
func (s *schedule) setIf(t task, at time.Time) {
	s.clear(t)
	if !at.IsZero() {
		s.set(t, at)
	}
}

func (s *schedule) clear(t task) { s[t].at, s[t].set = time.Time{}, false }

// has reports whether a task is scheduled.
func (s schedule) has(t task) bool { return s[t].set }

// due reports whether a task is scheduled and its time has come.
func (s schedule) due(t task, now time.Time) bool { return s[t].set && !now.Before(s[t].at) }

// after reports whether a task is scheduled for later than a time.
func (s schedule) after(t task, at time.Time) bool { return s[t].set && s[t].at.After(at) }

// idle is how long Run waits without a task.
const idle = time.Hour

// next returns when the next task is due.
func (s schedule) next(now time.Time) time.Time {
	next := now.Add(idle)
	for t, deadline := range s {
		counts := deadline.set && (!s.has(retryCall) || task(t) == retryCall || task(t) == deliverNews)
		if counts && deadline.at.Before(next) {
			next = deadline.at
		}
	}
	return next
}

// jitter changes a duration by up to a tenth, so that a thousand nodes do not call etcd at the same time.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64())) //nolint:gosec // no secret
}

// backOff returns how long to wait after a number of failures in a row: first 0.1 s, at most 5 s. Each is random, half more or
// less, so that not all nodes call an overloaded etcd at the same time.
func backOff(failures int) time.Duration {
	d := min(5*time.Second, 100*time.Millisecond<<min(failures-1, 6))
	return time.Duration(float64(d) * (0.5 + rand.Float64())) //nolint:gosec // no secret
}
