package vxlan

import (
	"time"

	"github.com/podlane/podlane/subnet"
)

// A scan searches all routes and rules for entries of other programs that divert traffic. They are reported, not
// repaired.
//
// A scan may be slow. The kernel lists the routes of one owner or one interface, but not those within a prefix. A
// router may have a million. (Asking for the route to each peer, RTM_GETROUTE, would miss routes to single pods.) So
// a scan runs after the repair of both families. It may fail. A slow scan runs seldom.

// scanBudget limits the time for scans to a hundredth of all time. A long scan makes it negative, and the next scan
// waits until it is positive again. After a scan of one second, that takes a minute and a half. The zero budget is full.
type scanBudget struct {
	left time.Duration // scans are allowed while it is positive
	at   time.Time     // time of the last update
}

const (
	// scanShare is the part of all time that scans may use, as one in so many.
	scanShare = 100
	// scanReserve is the largest budget. On a node that is no router a scan takes a few milliseconds. Then every
	// Apply has one, except in a burst.
	scanReserve = 100 * time.Millisecond
)

// ready reports whether the budget allows a scan.
func (s *scanBudget) ready(now time.Time) bool {
	s.left = min(s.left+now.Sub(s.at)/scanShare, scanReserve)
	s.at = now
	return s.left > 0
}

func (s *scanBudget) spend(d time.Duration) { s.left -= d }

// scan finds other programs' entries that divert traffic, in the families that were reconciled. If no scan is due, it
// returns the result of the last one.
func (b *Backend) scan(reconcilers []*reconciler, peers []subnet.Lease) (problems, notes []string) {
	start := time.Now()
	if b.budget.ready(start) {
		var f findings
		for _, rec := range reconcilers {
			rec.findDiversions(&f, peers)
		}
		b.problems, b.notes = f.problems.all(), f.notes.all()
		b.budget.spend(time.Since(start))
	}
	return b.problems, b.notes
}
