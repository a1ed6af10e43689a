// Package pause waits until a time has passed or a context ends.
package pause

import (
	"context"
	"time"
)

// For waits for d and reports whether ctx is still alive. If ctx ends, it returns false at once. If d is zero or less, it
// does not wait.
func For(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
