package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/podlane/podlane/pause"

	systemd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/status"
)

const (
	// notifyEvery is the shortest time between two messages to systemd about a changed status.
	notifyEvery = time.Second
	// maxStartTime is how long units that are ordered after podlaned wait for the node file. One of them may be the etcd that
	// podlaned waits for.
	maxStartTime = 30 * time.Second
)

// notify sends systemd, if it started podlaned, three kinds of messages (sd_notify(3)):
//   - Once, that podlaned has started.
//   - The status in one line, when it changes.
//   - While the loop is alive, a keep-alive: about three times in the watchdog's time.
func (d *daemon) notify(ctx context.Context) error {
	began, sent, every := time.Now(), "", beatEvery
	watchdog, err := systemd.SdWatchdogEnabled(false)
	watched := err == nil && watchdog > 0
	if watched {
		every = min(every, watchdog/3)
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	beat := true
	for {
		select {
		case <-d.board.changed: // get returns it
		default:
		}
		s, now := d.board.get(), time.Now()
		var words []string
		if line := "STATUS=" + statusLine(s); line != sent {
			words, sent = append(words, line), line
		}
		if !d.started.Load() && (d.reloaded || s.NodeFile || now.Sub(began) >= maxStartTime) {
			words = append(words, systemd.SdNotifyReady)
			d.started.Store(true)
		}
		if watched && beat && d.board.silence() < stuck {
			words, beat = append(words, systemd.SdNotifyWatchdog), false
		}
		if len(words) > 0 {
			received, err := systemd.SdNotify(false, strings.Join(words, "\n"))
			if !received && err == nil {
				return nil // systemd did not start podlaned
			}
			d.problems.Check("systemd", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
			beat = true
		case <-d.board.changed:
			if d.started.Load() && !pause.For(ctx, min(notifyEvery, every)-time.Since(now)) { // the start itself is not delayed
				return ctx.Err()
			}
		}
	}
}

// statusLine returns the status in one line. It has the first problem, because that explains a failed check. Without a
// problem it has the first failed check.
func statusLine(s status.Status) string {
	failed := slices.IndexFunc(s.Checks, func(c status.Check) bool { return !c.OK })
	switch {
	case failed >= 0 && len(s.Problems) > 0:
		return "not ready: " + firstLine(s.Problems[0])
	case failed >= 0:
		return fmt.Sprintf("not ready: %s: %s", s.Checks[failed].Name, firstLine(s.Checks[failed].Detail))
	case len(s.Problems) > 0:
		return "ready, with problems: " + firstLine(s.Problems[0])
	}
	return fmt.Sprintf("ready: pod subnet %s, %d peers", status.Join(s.Lease.Subnet), len(s.Peers))
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// reloading returns the message to systemd at the beginning of a reload: sd_notify(3), Type=notify-reload of systemd 253.
func reloading() string {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // it cannot fail: Linux has had this clock since 2.5.63
	return fmt.Sprintf("%s\nMONOTONIC_USEC=%d", systemd.SdNotifyReloading, ts.Nano()/1000)
}
