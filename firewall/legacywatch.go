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
	// legacyMinInterval is the shortest time between two reads of iptables-legacy's FORWARD.
	legacyMinInterval = 500 * time.Millisecond
	// legacyMaxInterval is the longest time between two reads, because not every program uses the lock.
	legacyMaxInterval = 10 * time.Second
)

// WatchLegacy calls kick when it begins, and after every change of iptables-legacy's FORWARD. It returns nil when ctx ends. It
// works in the calling thread's network namespace. kick must not block.
//
// The kernel does not announce such a change. But a program that makes one holds the lock of iptables-legacy. So WatchLegacy
// reads FORWARD when the lock is released. If the lock cannot be watched, it reads twice a second. Without a release it reads
// every 10 seconds. A container may have a lock of its own, or the program is installed later. If the program fails, that is a
// change too: Apply returns the error.
func WatchLegacy(ctx context.Context, kick func()) error {
	lock := watchLock(legacyLock)
	defer func() { lock.close() }()
	before := legacyForward(ctx)
	kick() // for what changed before
	for wait := legacyMinInterval; pause.For(ctx, wait); {
		began := time.Now()
		switch {
		case lock.await(ctx, legacyMaxInterval):
		case mayRunLegacy():
			lock.close()
			lock = watchLock(legacyLock)
		default:
			pause.For(ctx, legacyMaxInterval)
		}
		if now := legacyForward(ctx); ctx.Err() == nil && now != before {
			before = now
			kick()
		}
		if wait = legacyMinInterval; time.Since(began) >= legacyMaxInterval { // the lock was not used
			wait = 0
		}
	}
	return nil
}

// mayRunLegacy reports whether this process can run one of iptables-legacy's programs.
func mayRunLegacy() bool {
	return slices.ContainsFunc(subnet.Families[:], func(f subnet.Family) bool { return legacyProgram(f) != "" })
}

// legacyForward returns the families with a filter table, each with the program's rules or its error.
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
