package main

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// expiry is when the own lease runs out. Within one boot the boot clock decides. It also runs while the machine sleeps,
// and no program can set it. After a reboot the wall clock decides.
type expiry struct {
	Never bool // it is a reservation
	Wall  time.Time
	Boot  string        // the id of the boot that Since belongs to
	Since time.Duration // from that boot to the end of the lease
}

func newExpiry(t, now time.Time) expiry {
	if t.IsZero() {
		return expiry{Never: true}
	}
	return expiry{Wall: t.Round(0), Boot: bootID(), Since: sinceBoot() + t.Sub(now)}
}

// left returns how long the lease still lasts. never reports whether it has no end.
func (e expiry) left(now time.Time) (d time.Duration, never bool) {
	switch {
	case e.Never:
		return 0, true
	case e.Boot != "" && e.Boot == bootID():
		return e.Since - sinceBoot(), false
	}
	return e.Wall.Sub(now), false
}

func bootID() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // without an id the wall clock decides
	return strings.TrimSpace(string(id))
}

// sinceBoot returns CLOCK_BOOTTIME (clock_gettime(2), Linux 2.6.39).
func sinceBoot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
