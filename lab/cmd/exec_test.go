package main

import (
	"strings"
	"syscall"
	"testing"
)

func TestTwoLabsSideBySide(t *testing.T) {
	before := traces(t)
	a, b := start(t, "up", "--speed", "0"), start(t, "up", "--speed", "0")
	a.until(t, "The lab is up")
	b.until(t, "The lab is up")
	if out := runs(t, 0, "list"); !strings.Contains(out, "lab: process") || !strings.Contains(out, "lab2: process") {
		t.Errorf("list: %s", out)
	}
	for _, name := range []string{"lab", "lab2"} {
		if out := runs(t, 1, "up", "--name", name); !strings.Contains(out, "a lab with this name runs: "+name+": process") {
			t.Errorf("up --name %s: %s", name, out)
		}
		runs(t, 0, "exec", "--name", name, "n1", "podlaned", "status")
		if out := runs(t, 0, "exec", "--name", name, "n3", "ip", "-br", "address"); !strings.Contains(out, "198.18.1.3/16") {
			t.Errorf("addresses of n3: %s", out)
		}
		if out := runs(t, 0, "exec", "--name", name, "n1", "ps", "ax"); strings.Count(out, "podlaned") != 3 {
			t.Errorf("processes seen in a lab of three nodes:\n%s", out)
		}
	}
	for _, s := range []*session{a, b} {
		_ = s.Process.Signal(syscall.SIGINT)
		s.ends(t, 0)
	}
	leavesNothing(t, before)
}

func TestExec(t *testing.T) {
	s := start(t, "up", "--nodes", "2", "--speed", "0", "--name", "exec")
	s.until(t, "The lab is up")
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"n1 podlaned status", 0, ""},
		{"n2 printenv PODLANE_NODE_NAME", 0, "n2"},
		{"p1 ip -br address show eth0", 0, "10.5."},
		{"outside ip route", 0, "198.18.0.0/16 via 203.0.113.254"},
		{"n1 bridge fdb show dev podlane.1", 0, "dst 198.18.1.2"},
		{"n7 true", 1, "n7: no such node or pod; there are: n1 n2 p1 p2 outside"},
		{"../.. true", 1, "no such node or pod"},
		{"n1 nosuchcommand", 1, "nosuchcommand: executable file not found"},
		{"n1 false", 1, ""},
		{"n1 /bin/sh -c exit\t7", 7, ""},
		{"n1 /bin/sh -c kill\t-9\t$$", 137, ""},
	} {
		args := []string{"exec"}
		for _, f := range strings.Split(c.args, " ") {
			args = append(args, strings.ReplaceAll(f, "\t", " "))
		}
		if out := runs(t, c.code, args...); !strings.Contains(out, c.want) {
			t.Errorf("exec %s: no %q in\n%s", c.args, c.want, out)
		}
	}
	sleeper := start(t, "exec", "n1", "/bin/sh", "-c", "echo here; exec sleep 1000")
	sleeper.until(t, "here")
	_ = sleeper.Process.Signal(syscall.SIGTERM)
	sleeper.ends(t, 128+15)
}

func TestExecWithoutALab(t *testing.T) {
	if out := runs(t, 1, "exec", "n1", "true"); !strings.Contains(out, "no lab runs") {
		t.Errorf("exec: %s", out)
	}
	if out := runs(t, 1, "exec", "--name", "x", "n1", "true"); !strings.Contains(out, "no lab x runs") {
		t.Errorf("exec --name x: %s", out)
	}
	if out := runs(t, 0, "list"); !strings.Contains(out, "no lab runs") {
		t.Errorf("list: %s", out)
	}
}

func TestCommandEndsWithItsLab(t *testing.T) {
	before := traces(t)
	s := start(t, "up", "--nodes", "1", "--speed", "0")
	s.until(t, "The lab is up")
	sleeper := start(t, "exec", "p1", "/bin/sh", "-c", "echo here; exec sleep 1000")
	sleeper.until(t, "here")
	_ = s.Process.Kill()
	s.ends(t, -1)
	sleeper.ends(t, 137)
	leavesNothing(t, before)
}

func TestChooseALab(t *testing.T) {
	for _, c := range []struct {
		name string
		labs []string
		want string
		ok   bool
	}{
		{"", nil, "", false},
		{"", []string{"x"}, "x", true},
		{"", []string{"lab", "lab2"}, "lab", true},
		{"", []string{"x", "y"}, "", false},
		{"y", []string{"x", "y"}, "y", true},
	} {
		if got, err := choose(c.name, c.labs); got != c.want || (err == nil) != c.ok {
			t.Errorf("choose %q of %v: %q, %v; want %q", c.name, c.labs, got, err, c.want)
		}
	}
}
