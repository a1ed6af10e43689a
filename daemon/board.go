package main

import (
	"sync"
	"time"

	"github.com/podlane/podlane/status"
)

// board holds the newest status, and when the loop turned last. The loop writes it, the servers read it.
type board struct {
	mu     sync.Mutex
	status status.Status
	turned time.Time
	news   kicks // that there is another status
}

func (b *board) set(s status.Status) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status = s
	b.news.kick()
}

// beat notes that the loop turns.
func (b *board) beat() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turned = time.Now()
}

// idle is how long the loop has not turned.
func (b *board) idle() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Since(b.turned)
}

// get is the newest status, judged now.
func (b *board) get() status.Status {
	b.mu.Lock()
	s := b.status
	b.mu.Unlock()
	now := time.Now()
	s.Checks = s.ReadyChecks(now)
	s.Ready = status.AllHold(s.Checks)
	return s.InWallTime(now)
}
