package firewall

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/podlane/podlane/pause"

	"github.com/podlane/podlane/subnet"
)

const (
	// legacyEvery is how often iptables-legacy's FORWARD is looked at, at most; and at least, where its lock cannot be
	// watched.
	legacyEvery = 500 * time.Millisecond
	// legacyAnyway is how long a change by somebody who does not take the lock stays unseen.
	legacyAnyway = 10 * time.Second
)

// WatchLegacy calls kick once when it begins to look, and then whenever iptables-legacy's FORWARD has been changed until
// ctx ends; it then returns nil. The kernel tells nobody of such a change, but whoever makes one holds the lock of the
// programs: when that is let go is the time to look. Where it cannot be watched, we look twice a second; and now and then
// in any case, for a container can have a lock of its own, and the program may be installed later. It works in the network
// namespace of the thread that calls it. kick must not block. That the program cannot read FORWARD is a change too: Apply
// tells why.
func WatchLegacy(ctx context.Context, kick func()) error {
	lock := watchLock(legacyLock)
	defer func() { lock.close() }()
	before := legacyForward(ctx)
	kick() // for what changed before
	for wait := legacyEvery; pause.For(ctx, wait); {
		began := time.Now()
		switch {
		case lock.await(ctx, legacyAnyway):
		case mayRunLegacy():
			lock.close()
			lock = watchLock(legacyLock)
		default:
			pause.For(ctx, legacyAnyway)
		}
		if now := legacyForward(ctx); ctx.Err() == nil && now != before {
			before = now
			kick()
		}
		if wait = legacyEvery; time.Since(began) >= legacyAnyway { // nothing had come
			wait = 0
		}
	}
	return nil
}

// mayRunLegacy tells whether somebody could undo a change.
func mayRunLegacy() bool {
	return slices.ContainsFunc(subnet.Families[:], func(f subnet.Family) bool { return legacyProgram(f) != "" })
}

// legacyForward is the families that have a FORWARD, each with what the program lists of it, or why it does not, unless there
// is nobody to ask.
func legacyForward(ctx context.Context) string {
	var b strings.Builder
	for _, f := range subnet.Families {
		if !legacyLoaded(f) {
			continue
		}
		fmt.Fprintln(&b, f)
		if program := legacyProgram(f); program != "" {
			listing, err := listLegacy(ctx, program)
			fmt.Fprintln(&b, listing, err)
		}
	}
	return b.String()
}
