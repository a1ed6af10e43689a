package main

import (
	"slices"
	"sync"
	"time"
)

// board holds the newest status, and the time of the loop's last heartbeat. The loop writes it, the servers read it.
type board struct {
	mu     sync.Mutex
	status status
	beatAt time.Time
	news   kicks // one for each new status
}

func (b *board) set(s status) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status = s
	b.news.kick()
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
func (b *board) get() status {
	b.mu.Lock()
	s := b.status
	b.mu.Unlock()
	now := time.Now()
	s.Checks = s.judge(now)
	s.Ready = allHold(s.Checks)
	return s.onWall(now)
}

// onWall is the status with its times as the wall clock tells them now. They were noted by it and by the monotonic clock,
// and only the wall clock may have been set since: who reads the status compares them with that.
func (s status) onWall(now time.Time) status {
	wall := func(t time.Time) time.Time {
		if t.IsZero() {
			return t
		}
		return now.Round(0).Add(t.Sub(now))
	}
	s.Lease.Expiry, s.Etcd.Seen, s.Verified = wall(s.Lease.Expiry), wall(s.Etcd.Seen), wall(s.Verified)
	s.Repairs = slices.Clone(s.Repairs)
	for i := range s.Repairs {
		s.Repairs[i].Time = wall(s.Repairs[i].Time)
	}
	return s
}
