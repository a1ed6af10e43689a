package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// procStatus returns a field of a process's status (proc_pid_status(5)).
func procStatus(t *testing.T, pid int, field string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	check(t, err)
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("no %s in the status of process %d:\n%s", field, pid, text)
	return ""
}

func TestPausedPodlaned(t *testing.T) {
	l := real(t, 1)
	n := l.Nodes[0]
	state := func() string { return procStatus(t, n.PID(), "State") }
	check(t, n.Pause())
	check(t, poll(within(t), 10*time.Millisecond, func() (bool, error) { return strings.HasPrefix(state(), "T"), nil }))
	check(t, n.Resume())
	check(t, n.Ready(within(t)))
	check(t, n.Pause())
	check(t, n.Kill())
	if n.Running() || n.PID() != 0 {
		t.Errorf("running %v, process %d after Kill", n.Running(), n.PID())
	}
}

func TestNextLaunchRunsAnotherPodlaned(t *testing.T) {
	const says = "echo I am $0; exec sleep 1000"
	l := build(t, Options{Nodes: 1, Bin: fakeBin(t, says)})
	n, other := l.Nodes[0], filepath.Join(fakeBin(t, says), "podlaned")
	for _, want := range []string{filepath.Join(n.bin, "podlaned"), other} {
		check(t, n.Launch(within(t)))
		check(t, poll(within(t), 10*time.Millisecond, func() (bool, error) { return strings.Contains(n.LogText(), want), nil }))
		check(t, n.Kill())
		n.Daemon = other
	}
}

// The capabilities of capabilities(7), as bits.
const (
	netAdmin = 1 << 12
	netRaw   = 1 << 13
)

func TestPodlanedHasOneCapability(t *testing.T) {
	l := build(t, Options{Nodes: 2, Bin: built(t), NodeCaps: func(i int) []string { return [][]string{1: nil, 2: {"net_raw"}}[i] }})
	check(t, l.StartAll(within(t)))
	for i, want := range []int{netAdmin, netAdmin | netRaw} {
		for _, set := range []string{"CapPrm", "CapEff", "CapBnd"} {
			if got := procStatus(t, l.Nodes[i].PID(), set); got != fmt.Sprintf("%016x", want) {
				t.Errorf("%s of podlaned on n%d is %s, want %016x", set, i+1, got, want)
			}
		}
	}
}
