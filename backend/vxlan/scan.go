package vxlan

import (
	"time"

	"github.com/podlane/podlane/subnet"
)

// What others have in the kernel that draws traffic away is told, not repaired, and to find it takes all routes: the kernel
// lists those of one owner or one interface, but not those within a prefix, and a router may have a million. (To ask it for
// the way to each peer, RTM_GETROUTE, would miss what takes single pods away.) So a look comes after the repair of both
// families, it may fail, and where it takes long it is made seldom.

// scanBudget is the time for looks: a hundredth of all time, of which a little can be saved up. Where a look took more, it
// is below zero until that is made up for: after a second's look the next is not before a minute and a half. The zero
// scanBudget is full.
type scanBudget struct {
	left time.Duration
	at   time.Time // when that was left
}

const (
	// scanShare is the part of all time that is for looks: one in so many.
	scanShare = 100
	// scanReserve is what can be saved up. Where a look takes a few milliseconds, as on any node that is no router, every
	// pass has one, but for those of a storm.
	scanReserve = 100 * time.Millisecond
)

// ready tells whether there is time for a look.
func (a *scanBudget) ready(now time.Time) bool {
	a.left = min(a.left+now.Sub(a.at)/scanShare, scanReserve)
	a.at = now
	return a.left > 0
}

func (a *scanBudget) spend(d time.Duration) { a.left -= d }

// scan finds other programs' entries that divert traffic, in the families whose passes succeeded. If it is not due, it
// returns its last result.
func (b *Backend) scan(passes []*reconciler, peers []subnet.Lease) (problems, notes []string) {
	start := time.Now()
	if b.budget.ready(start) {
		var f findings
		for _, p := range passes {
			p.findDiversions(&f, peers)
		}
		b.problems, b.notes = f.problems.all(), f.notes.all()
		b.budget.spend(time.Since(start))
	}
	return b.problems, b.notes
}
