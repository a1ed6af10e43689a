package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestLabPassesAndEnds(t *testing.T) {
	before := traces(t)
	logs := t.TempDir()
	out := runs(t, 0, "up", "--once", "--nodes", "2", "--pods-per-node", "2", "--speed", "1s", "--keep-logs", logs)
	for _, want := range []string{
		"ok      pod to pod                      12 of 12 ",
		"ok      node to a pod of another node    4 of 4 ",
		"ok      pod to its own node              4 of 4 ",
		"ok      pod to outside, masqueraded      4 of 4 ",
		"ok      source address kept             12 of 12 ",
		"Gbit/s",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	for _, name := range []string{"n1.log", "n2.log"} {
		if text, err := os.ReadFile(filepath.Join(logs, name)); err != nil || len(text) == 0 {
			t.Errorf("kept log %s: %d bytes, %v", name, len(text), err)
		}
	}
	leavesNothing(t, before)
}

func TestLabOfOneNode(t *testing.T) {
	out := runs(t, 0, "up", "--once", "--nodes", "1")
	if !strings.Contains(out, "ok      pod to outside, masqueraded      1 of 1") {
		t.Errorf("got\n%s", out)
	}
}

func TestFailingPairsAreNamed(t *testing.T) {
	before := traces(t)
	folder := bin(t, `if [ "$1 $PODLANE_NODE_NAME" = "run n2" ]; then
	nft add table ip broken
	nft add chain ip broken forward '{ type filter hook forward priority 0; policy drop; }'
fi
exec $PODLANED "$@"`)
	out := runs(t, 1, "up", "--once", "--nodes", "2", "--speed", "0", "--bin", folder)
	for _, want := range []string{
		"FAILED  pod to pod                       0 of 2",
		"FAILED  pod to outside, masqueraded      1 of 2",
		"ok      pod to its own node              2 of 2",
		"p1 to p2: ping 10.5.",
		"p2 to outside: connect",
		"Last lines of the daemons' logs",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	leavesNothing(t, before)
}

func TestPodlanedEndsAtOnce(t *testing.T) {
	before := traces(t)
	out := runs(t, 1, "up", "--bin", bin(t, `if [ "$1" = run ]; then echo no luck today; exit 3; fi`))
	if !strings.Contains(out, "podlaned on n") || !strings.Contains(out, "exit status 3") || !strings.Contains(out, "no luck today") {
		t.Errorf("got\n%s", out)
	}
	leavesNothing(t, before)
}

func TestWrongNetworkConfiguration(t *testing.T) {
	before := traces(t)
	out := runs(t, 1, "up", "--config", `{"Network": "10.5.0.0/33"}`)
	if !strings.Contains(out, "podlaned config set") || !strings.Contains(out, "10.5.0.0/33") {
		t.Errorf("got\n%s", out)
	}
	leavesNothing(t, before)
}

func TestMissingBinary(t *testing.T) {
	out := runs(t, 1, "up", "--bin", t.TempDir())
	if !strings.Contains(out, "podlaned, podlane-cni, podlane-gate, lab, cni/bridge") || !strings.Contains(out, "make build") {
		t.Errorf("got\n%s", out)
	}
}

// moments are texts of the progress: the beginning of each step, and the lab being up.
var moments = []string{
	"underlay bridge", "etcd, 1 member", "node namespaces", "podlaned config set", "podlaned ready", "CNI ADD",
	"reachability", "throughput", "The lab is up",
}

func TestInterruptedHalfWay(t *testing.T) {
	before := traces(t)
	for _, at := range moments {
		s := start(t, "up", "--speed", "1s")
		s.until(t, at)
		_ = s.Process.Signal(syscall.SIGINT)
		if at == moments[len(moments)-1] {
			s.ends(t, 0)
		} else {
			s.ends(t, 130)
		}
		leavesNothing(t, before)
	}
}

func TestKilledHalfWay(t *testing.T) {
	before := traces(t)
	for i, at := range moments {
		s := start(t, "up", "--speed", "1s")
		s.until(t, at)
		<-time.After(time.Duration(i*7%20) * time.Millisecond) // somewhere in the step
		_ = s.Process.Kill()
		s.ends(t, -1)
		leavesNothing(t, before)
	}
}

// The moments before there is any output: the lab's first process may have just started.
func TestKilledAtOnce(t *testing.T) {
	before := traces(t)
	for i := range 30 {
		s := start(t, "up")
		<-time.After(time.Duration(i) * time.Millisecond)
		_ = s.Process.Kill()
		s.ends(t, -1)
		leavesNothing(t, before)
	}
}

func TestFirstProcessKilled(t *testing.T) {
	before := traces(t)
	s := start(t, "up", "--speed", "0")
	s.until(t, "The lab is up")
	first, err := find("")
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.ends(t, 137)
	leavesNothing(t, before)
}

func TestWrongFlags(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"up --nodes 0", "--nodes 0: give 1 to 250"},
		{"up --nodes x", "invalid value"},
		{"up --pods-per-node 27", "give 1 to 26"},
		{"up --speed 1500ms", "whole seconds"},
		{"up --config {", "not JSON"},
		{"up --keep-logs /run/x", "/run of its own"},
		{"up --name a/b", "without spaces and slashes"},
		{"up now", `unknown argument "now"`},
		{"exec", "name a place"},
		{"down", `no command "down"`},
	} {
		if out := runs(t, 2, strings.Fields(c.args)...); !strings.Contains(out, c.want) {
			t.Errorf("lab %s: no %q in\n%s", c.args, c.want, out)
		}
	}
	if out := runs(t, 0, "up", "-h"); !strings.Contains(out, "-pods-per-node") {
		t.Errorf("lab up -h: %s", out)
	}
}
