package main

import (
	"sync"
	"time"

	"github.com/podlane/podlane/status"
)

// board holds the newest status, and the time of the loop's last heartbeat. The loop writes it, the servers read it.
type board struct {
	mu      sync.Mutex
	status  status.Status
	beatAt  time.Time
	changed kicks // kicked at each new status
}

func (b *board) set(s status.Status) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status = s
	b.changed.kick()
}

// beat records that the loop is alive.
func (b *board) beat() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.beatAt = time.Now()
}

// silence returns the time since the loop's last heartbeat.
func (b *board) silence() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Since(b.beatAt)
}

// get returns the newest status, with its checks evaluated now.
func (b *board) get() status.Status {
	b.mu.Lock()
	s := b.status
	b.mu.Unlock()
	now := time.Now()
	s.Checks = s.ReadyChecks(now)
	s.Ready = status.AllHold(s.Checks)
	return s.InWallTime(now)
}
