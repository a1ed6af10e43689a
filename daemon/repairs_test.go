package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/podlane/podlane/kernel"
	"github.com/podlane/podlane/status"
)

func routeOp(name string, drift bool) kernel.Op {
	return kernel.Op{Verb: "add", Kind: "route", Object: "route " + name, Drift: drift}
}

func TestRepairs(t *testing.T) {
	start := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	var want []status.Repair
	var r repairs
	for i := range maxRepairs + 2 {
		at := start.Add(time.Duration(i) * time.Second)
		want = append(want, status.Repair{Time: at, What: fmt.Sprintf("add route %d; add route x", i)})
		if got := r.record([]kernel.Op{routeOp(fmt.Sprint(i), true), routeOp("x", true)}, at); got != want[i].What {
			t.Errorf("repair %d: %q, want %q", i, got, want[i].What)
		}
	}
	if diff := gocmp.Diff(want[2:], r.last); diff != "" {
		t.Errorf("the last repairs (-want +got):\n%s", diff)
	}
	if want := 2 * (maxRepairs + 2); r.count != want {
		t.Errorf("%d writes are counted, want %d", r.count, want)
	}
}

func TestWritesAreLoggedAndRepairsRecorded(t *testing.T) {
	for name, c := range map[string]struct {
		ops    []kernel.Op
		logged []string
		count  int
	}{
		"nothing": {},
		"change":  {[]kernel.Op{routeOp("a", false)}, []string{"add route a; peers: 0"}, 0},
		"repair":  {[]kernel.Op{routeOp("a", true)}, []string{"changed: add route a"}, 1},
		"both":    {[]kernel.Op{routeOp("a", true), routeOp("b", false)}, []string{"add route b; peers: 0", "changed: add route a"}, 1},
	} {
		l, out := newTestLoop(t)
		l.recordOps(c.ops, nil)
		lines := slices.Collect(strings.Lines(out.String()))
		if len(lines) != len(c.logged) {
			t.Errorf("%s: %d lines are logged, want %d:\n%s", name, len(lines), len(c.logged), out)
			continue
		}
		for i, want := range c.logged {
			if !strings.Contains(lines[i], want) {
				t.Errorf("%s: line %d is %q, want %q", name, i, lines[i], want)
			}
		}
		if l.repairs.count != c.count {
			t.Errorf("%s: %d repairs, want %d", name, l.repairs.count, c.count)
		}
	}
}
