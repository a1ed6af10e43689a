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
