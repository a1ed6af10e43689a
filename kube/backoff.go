package main

import "time"

// maxRetry bounds the time to the next attempt if the API server refuses a write.
const maxRetry = time.Minute

// backoff delays writes to the API server after a failure. The zero backoff delays nothing.
type backoff struct {
	failures int       // failed writes in a row
	retryAt  time.Time // when the next write may begin
}

// failed records a failed write.
func (b *backoff) failed(now time.Time) {
	b.retryAt, b.failures = now.Add(retryDelay(b.failures)), b.failures+1
}

// succeeded records a write. The same is not written again for a second: by then the watch has delivered it.
func (b *backoff) succeeded(now time.Time) { b.retryAt, b.failures = now.Add(time.Second), 0 }

// retryDelay returns the time to the next attempt after several failures in a row.
func retryDelay(failures int) time.Duration { return min(maxRetry, time.Second<<min(failures, 10)) }
