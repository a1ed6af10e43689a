package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

func TestWhenTheStateIsWritten(t *testing.T) {
	start := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	write := func(took time.Duration, ok bool) func(*stateFile) {
		return func(f *stateFile) { f.update(true, true); f.written(start, start.Add(took), ok) }
	}
	type answer struct {
		Due, DueAtTheEnd bool
		In               time.Duration
	}
	for name, c := range map[string]struct {
		before func(*stateFile)
		held   bool
		change bool
		after  time.Duration // since the start
		want   answer
	}{
		"nothing has changed":           {held: true},
		"first state":                   {held: true, change: true, want: answer{true, true, minInterval}},
		"lease is not held":             {change: true},
		"lease is lost":                 {before: func(f *stateFile) { f.update(true, true) }},
		"after a write":                 {before: write(time.Millisecond, true), held: true, after: time.Hour},
		"soon after a write":            {write(0, true), true, true, 100 * time.Millisecond, answer{false, true, 900 * time.Millisecond}},
		"a second after a write":        {write(0, true), true, true, minSave, answer{true, true, minInterval}},
		"soon after a slow write":       {write(time.Second, true), true, true, 11 * time.Second, answer{false, true, 10 * time.Second}},
		"after a failed write":          {write(0, false), true, false, 100 * time.Millisecond, answer{false, true, 900 * time.Millisecond}},
		"a second after a failed one":   {write(0, false), true, false, minSave, answer{true, true, minInterval}},
		"lease lost after a failed one": {write(0, false), false, true, minSave, answer{}},
	} {
		var f stateFile
		if c.before != nil {
			c.before(&f)
		}
		f.update(c.held, c.change)
		now := start.Add(c.after)
		got := answer{f.due(now, false), f.due(now, true), f.dueIn(now)}
		if diff := gocmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestOtherChangesOfTheSavedState(t *testing.T) {
	for name, c := range map[string]struct{ before, held, want bool }{
		"held":                     {false, true, true},
		"not held":                 {false, false, false},
		"not held, changed before": {true, false, true},
	} {
		f := stateFile{changed: c.before}
		f.markChanged(c.held)
		if f.changed != c.want {
			t.Errorf("%s: changed is %v, want %v", name, f.changed, c.want)
		}
	}
}

func TestStateIsSavedNotTooOften(t *testing.T) {
	l, _ := newTestLoop(t)
	path := filepath.Join(l.config.stateDir, stateName)
	l.saveState(true)
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("with nothing to save: %v", err)
	}
	l.receive(stateWithPeers(t, l, 2))
	l.saveState(false)
	if s, err := loadState(l.config.stateDir, "/p"); err != nil || len(s.Leases) != 2 || s.Own != "10.5.34.0-24" {
		t.Errorf("%+v, %v", s, err)
	}
	l.receive(stateWithPeers(t, l, 2, 3))
	l.saveState(false) // too soon
	if s, err := loadState(l.config.stateDir, "/p"); err != nil || len(s.Leases) != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	l.saveState(true) // but at the end, always
	if s, err := loadState(l.config.stateDir, "/p"); err != nil || len(s.Leases) != 3 {
		t.Errorf("%+v, %v", s, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	l.receive(stateWithPeers(t, l, 2, 3)) // etcd has answered, with nothing new
	l.saveState(true)
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("written again, with nothing new: %v", err)
	}
}
