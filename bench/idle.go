package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// windows is the number of measured windows.
const windows = 5

// idle measures a podlaned that has nothing to do.
func idle(ctx context.Context, b bench) (s Section, err error) {
	lasting := 30 * time.Second // podlaned's own --resync: each window has one periodic check
	if b.quick {
		lasting = 2 * time.Second
	}
	s = Section{
		Title: "A node on which nothing happens",
		Text: fmt.Sprintf("CPU time in %d windows of %v, from the kernel's clock of the process. The first window starts after twice that "+
			"time, when the garbage of the start is collected. Each includes the periodic check of the kernel and of etcd, "+
			"once in 30 s. Memory at the end of each window is resident memory (VmRSS). It includes the touched part of the "+
			"program's file (RssFile).", windows, lasting),
	}
	w, err := makeWorld(ctx, b)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	for _, m := range []struct {
		peers int
		cpu   float64 // part of a core
		rss   float64 // bytes; 0: no limit
	}{{3, 0.0005, 25e6}, {5000, 0.005, 0}} {
		r, err := w.rest(ctx, b, m.peers, lasting)
		if err != nil {
			return s, fmt.Errorf("%d peers: %w", m.peers, err)
		}
		what := thousands(m.peers) + " peers: "
		memory := Row{What: what + "memory", Figure: r.rss.text(mib) + ", of which the program's file " + r.file.text(mib)}
		if m.rss > 0 {
			memory = within(memory, r.rss.median(), m.rss, fmt.Sprintf("under %g MB, %s", m.rss/1e6, mib(m.rss)))
		}
		s.Rows = append(s.Rows,
			within(Row{What: what + "CPU, part of a core", Figure: r.cpu.text(percent)}, r.cpu.median(), m.cpu, fmt.Sprintf("under %g %%", m.cpu*100)),
			memory,
			Row{What: what + "lines of log at the start", Figure: strconv.Itoa(r.lines)})
	}
	return s, nil
}

// percent formats a fraction as a percentage.
func percent(v float64) string { return fmt.Sprintf("%.3f %%", v*100) }

// rested holds the usage of an idle podlaned, one value for each window.
type rested struct {
	cpu       series // part of a core
	rss, file series // bytes
	lines     int
}

func (w *world) rest(ctx context.Context, b bench, peers int, lasting time.Duration) (r rested, err error) {
	if err := w.setPeers(ctx, peers); err != nil {
		return r, err
	}
	n := w.Nodes[0]
	d, err := startDaemon(ctx, n)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, d.kill()) }()
	if _, err := waitIdle(ctx, n); err != nil {
		return r, err
	}
	r.lines = strings.Count(d.log.String(), "\n")
	if err := wait(ctx, 2*lasting); err != nil {
		return r, err
	}
	for range windows {
		if err := r.watch(ctx, d, lasting); err != nil {
			return r, err
		}
	}
	return r, b.profile(ctx, n, fmt.Sprint("idle-", peers), nil)
}

// watch adds one window.
func (r *rested) watch(ctx context.Context, d *daemon, lasting time.Duration) error {
	before, err := d.used()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := wait(ctx, lasting); err != nil {
		return err
	}
	after, err := d.used()
	if err != nil {
		return err
	}
	r.cpu.add((after - before).Seconds() / time.Since(began).Seconds())
	rss, err := d.memory("VmRSS")
	if err != nil {
		return err
	}
	file, err := d.memory("RssFile")
	r.rss.add(rss)
	r.file.add(file)
	return err
}
