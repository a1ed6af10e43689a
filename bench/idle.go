package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// idle measures a podlaned that has nothing to do.
func idle(ctx context.Context, b bench) (s Section, err error) {
	lasting := time.Minute
	if b.quick {
		lasting = 5 * time.Second
	}
	s = Section{
		Title: "A node on which nothing happens",
		Text:  fmt.Sprintf("CPU time over %v by the scheduler's accounts, with the periodic look at the kernel and at etcd; memory is resident (VmRSS), the program's own 19 MB of code and data that were touched included.", lasting),
	}
	w, err := makeWorld(ctx, b, 1)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	for _, m := range []struct {
		peers int
		cpu   float64 // part of a core
		rss   float64 // bytes; 0: nothing is promised
	}{{3, 0.0005, 25 << 20}, {5000, 0.005, 0}} {
		cpu, rss, lines, err := w.rest(ctx, b, m.peers, lasting)
		if err != nil {
			return s, fmt.Errorf("%d peers: %w", m.peers, err)
		}
		what := thousands(m.peers) + " peers: "
		memory := Row{What: what + "memory", Figure: mib(rss)}
		if m.rss > 0 {
			memory = within(memory, rss, m.rss, "under "+mib(m.rss))
		}
		s.Rows = append(s.Rows,
			within(Row{What: what + "CPU", Figure: fmt.Sprintf("%.3f %% of a core", cpu*100)}, cpu, m.cpu, fmt.Sprintf("under %g %%", m.cpu*100)),
			memory,
			Row{What: what + "lines of log at the start", Figure: strconv.Itoa(lines)})
	}
	return s, nil
}

func (w *world) rest(ctx context.Context, b bench, peers int, lasting time.Duration) (cpu, rss float64, lines int, err error) {
	if err := w.grow(ctx, peers); err != nil {
		return 0, 0, 0, err
	}
	n := w.Nodes[0]
	d, err := startDaemon(ctx, n)
	if err != nil {
		return 0, 0, 0, err
	}
	defer func() { err = errors.Join(err, d.kill()) }()
	if _, err := settled(ctx, n); err != nil {
		return 0, 0, 0, err
	}
	lines = countLines(d.log.String())
	before, err := d.used()
	if err != nil {
		return 0, 0, 0, err
	}
	select {
	case <-ctx.Done():
		return 0, 0, 0, ctx.Err()
	case <-time.After(lasting):
	}
	after, err := d.used()
	if err != nil {
		return 0, 0, 0, err
	}
	rss, err = d.resident()
	if err == nil {
		err = b.profile(ctx, n, fmt.Sprint("idle-", peers), nil)
	}
	return (after - before).Seconds() / lasting.Seconds(), rss, lines, err
}

// resident is the daemon's memory in bytes.
func (d *daemon) resident() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(text), "VmRSS:")
	kib, err := strconv.ParseFloat(strings.Fields(after + " ?")[0], 64)
	return kib * 1024, err
}
