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
	// notifyEvery is how often systemd is told of news at most.
	notifyEvery = time.Second
	// patience is how long what is ordered after podlaned waits for the node file at most. The etcd that is missing may be
	// one of those that wait.
	patience = 30 * time.Second
)

// notify tells systemd (sd_notify(3)), where it started the daemon, that it has started, how it is in one line, and as
// long as the loop turns that it lives, about three times in the time that a watchdog leaves.
func (d *daemon) notify(ctx context.Context) error {
	began, told, every := time.Now(), "", beatEvery
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
		case <-d.board.news: // this is it
		default:
		}
		s, now := d.board.get(), time.Now()
		var words []string
		if line := "STATUS=" + statusLine(s); line != told {
			words, told = append(words, line), line
		}
		if !d.started.Load() && (d.reloaded || s.NodeFile || now.Sub(began) >= patience) {
			words = append(words, systemd.SdNotifyReady)
			d.started.Store(true)
		}
		if watched && beat && d.board.idle() < stuck {
			words, beat = append(words, systemd.SdNotifyWatchdog), false
		}
		if len(words) > 0 {
			heard, err := systemd.SdNotify(false, strings.Join(words, "\n"))
			if !heard && err == nil {
				return nil // there is no systemd
			}
			d.troubles.Check("systemd", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
			beat = true
		case <-d.board.news:
			if d.started.Load() && !pause.For(ctx, min(notifyEvery, every)-time.Since(now)) { // what waits for the start waits for nothing else
				return ctx.Err()
			}
		}
	}
}

// statusLine is the status in one line: the first problem, which is why a check fails, or the first check where there is none.
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

// reloading is what systemd is told at the beginning of a reload (sd_notify(3), Type=notify-reload from systemd 253 on).
func reloading() string {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // it cannot fail: Linux has had this clock since 2.5.63
	return fmt.Sprintf("%s\nMONOTONIC_USEC=%d", systemd.SdNotifyReloading, ts.Nano()/1000)
}
