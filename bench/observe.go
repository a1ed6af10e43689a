package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/lab"
)

// readMetrics returns the metrics of a node's podlaned, by name with labels.
func readMetrics(ctx context.Context, n *lab.Node) (map[string]float64, error) {
	return scrape(ctx, local(n), "http://podlaned/metrics")
}

// local returns a client for a node's podlaned on its local socket.
func local(n *lab.Node) *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(filepath.Dir(n.NodeFile()), "podlaned.sock"))
	}}}
}

// profile stores profiles of a node's podlaned, if they are requested. meanwhile, unless it is nil, runs during the
// CPU profile.
func (b bench) profile(ctx context.Context, n *lab.Node, name string, meanwhile func() error) error {
	if b.keep == "" {
		return nil
	}
	done := make(chan error, 1)
	if meanwhile == nil {
		meanwhile = func() error { return nil }
	}
	go func() { done <- meanwhile() }()
	err := errors.Join(
		b.save(ctx, n, "profile?seconds=20", name+".cpu"),
		b.save(ctx, n, "allocs", name+".allocs"),
		b.save(ctx, n, "heap", name+".heap"),
	)
	return errors.Join(err, <-done)
}

func (b bench) save(ctx context.Context, n *lab.Node, what, name string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://podlaned/debug/pprof/"+what, nil)
	if err != nil {
		return err
	}
	resp, err := local(n).Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("profile: %s: %s", resp.Status, text)
	}
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.keep, name+".pprof"), text, 0o644)
}

// scrape reads a page of metrics.
func scrape(ctx context.Context, client *http.Client, url string) (map[string]float64, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	values, lines := map[string]float64{}, bufio.NewScanner(resp.Body)
	for lines.Scan() {
		name, value, found := cutLast(lines.Text())
		if !found || strings.HasPrefix(name, "#") {
			continue
		}
		if values[name], err = strconv.ParseFloat(value, 64); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return values, lines.Err()
}

// cutLast cuts a line at its last space.
func cutLast(line string) (before, after string, found bool) {
	i := strings.LastIndexByte(line, ' ')
	if i < 0 {
		return line, "", false
	}
	return line[:i], line[i+1:], true
}

// operation returns the kind of object whose writes a metric counts.
func operation(metric string) (kind string, ok bool) {
	if metric, ok = strings.CutPrefix(metric, `podlane_operations_total{kind="`); ok {
		kind, _, _ = strings.Cut(metric, `"`)
	}
	return kind, ok
}

// waitIdle waits until podlaned has nothing to do: its number of passes is stable for half a second.
func waitIdle(ctx context.Context, n *lab.Node) (map[string]float64, error) {
	const passes = `podlane_passes_total{result="verified"}`
	last := -1.0
	for {
		m, err := readMetrics(ctx, n)
		if err != nil || m[passes] == last {
			return m, err
		}
		last = m[passes]
		if err := wait(ctx, 500*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// used returns the CPU time of the daemon so far, including ended threads. It reads the kernel's clock of the process
// (clock_getcpuclockid(3)), which counts nanoseconds. /proc/PID/stat counts only hundredths of a second.
func (d *daemon) used() (time.Duration, error) {
	const scheduled = 2 // CPUCLOCK_SCHED of linux/posix-timers.h
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^d.cmd.Process.Pid<<3|scheduled), &t); err != nil {
		return 0, fmt.Errorf("read the CPU clock of podlaned: %w", err)
	}
	return time.Duration(t.Nano()), nil
}
