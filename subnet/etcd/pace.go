package etcd

import (
	"math/rand/v2"
	"time"
)

func due(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

// jitter spreads a duration by a tenth, so that a thousand nodes do not do the same at the same moment.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64())) //nolint:gosec // no secret
}

// backOff is how long to wait after a number of failures in a row: 0.1 s at first, 5 s at the end, half more or less, so
// that an etcd that is overwhelmed is not asked by all nodes again at once.
func backOff(failures int) time.Duration {
	d := min(5*time.Second, 100*time.Millisecond<<min(failures-1, 6))
	return time.Duration(float64(d) * (0.5 + rand.Float64())) //nolint:gosec // no secret
}

func jittered(d time.Duration) time.Time { return time.Now().Add(jitter(d)) }

// rewriteGap is the least time between two writes of the own key, so that we never race whoever else writes it.
const rewriteGap = 500 * time.Millisecond

// freeTries is how often a node that joins may give a key back and take another at once. A hundred nodes that join at the
// same moment need no more than two of them; who needs more would never come to an end, and must not keep etcd busy.
const freeTries = 5

// mayWrite tells whether the time for the step at hand has come, and if so puts off the next one.
func (r *runner) mayWrite() bool {
	now, established := time.Now(), r.session.own.established
	if established {
		r.returned = 0
	}
	gap := rewriteGap
	switch {
	case r.last.verb == putConfig, r.last.verb == ask, r.last.verb == announceMove: // another key than the own one
		return true
	case !established && r.last.verb == giveBack:
		r.returned++
		gap += rand.N(rewriteGap) //nolint:gosec // no secret
	case (established || r.returned > freeTries) && now.Before(r.writeAt):
		return false
	}
	r.writeAt = now.Add(gap)
	return true
}
