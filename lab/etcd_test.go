package lab

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestEtcdKeepsItsDataOverARestart(t *testing.T) {
	l := build(t, Options{Nodes: 1})
	ctx := within(t)
	for _, end := range []func(int) error{l.Etcd.Stop, l.Etcd.Kill} {
		put(t, l.Etcd, "1")
		check(t, end(1))
		check(t, l.Etcd.Start(ctx, 1))
		holds(t, l.Etcd, "1")
		check(t, l.Etcd.Delete(ctx, "/a"))
		if all, err := l.Etcd.List(ctx, "/"); len(all) != 0 || err != nil {
			t.Errorf("List: %v %v", all, err)
		}
	}
}

func TestEtcdWithoutAQuorum(t *testing.T) {
	l := build(t, Options{Nodes: 1, EtcdMembers: 3})
	ctx := within(t)
	check(t, l.Etcd.Stop(1))
	put(t, l.Etcd, "1")
	check(t, l.Etcd.Stop(2))
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	if err := l.Etcd.Put(short, "/a", "2"); err == nil {
		t.Error("one of three members accepts a write")
	}
	check(t, l.Etcd.Start(ctx, 1))
	put(t, l.Etcd, "3")
	check(t, l.Etcd.Start(ctx))
}

// A watcher does not delay a member that stops.
func TestEtcdStopsWithAWatcher(t *testing.T) {
	l := build(t, Options{Nodes: 1})
	events := l.Etcd.Client.Watch(within(t), "/a")
	put(t, l.Etcd, "1")
	<-events
	started := time.Now()
	check(t, l.Etcd.Stop(1))
	if took := time.Since(started); took > 2*time.Second {
		t.Errorf("stopping took %v", took)
	}
}

func TestEtcdLosesItsLeaders(t *testing.T) {
	l := build(t, Options{Nodes: 1, EtcdMembers: 3})
	e, ctx := l.Etcd, within(t)
	first := leader(t, e)
	check(t, e.Kill(first))
	second := leader(t, e)
	put(t, e, "without the first")
	check(t, e.Start(ctx, first))
	check(t, e.Pause(second))
	third := leader(t, e)
	put(t, e, "without the second")
	check(t, e.Resume(second))
	if first == second || second == third {
		t.Errorf("leaders %d, %d, %d: one that is stopped or paused leads", first, second, third)
	}
	last := leader(t, e)
	check(t, e.Stop(last))
	if again := leader(t, e); again == last {
		t.Errorf("member %d is stopped and leads", last)
	}
	holds(t, e, "without the second")
}

// A whole cluster is paused and then stopped.
func TestEtcdStopsWhilePaused(t *testing.T) {
	l := build(t, Options{Nodes: 1, EtcdMembers: 3})
	put(t, l.Etcd, "1")
	for i := 1; i <= 3; i++ {
		check(t, l.Etcd.Pause(i))
	}
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if v, _, err := l.Etcd.Get(short, "/a"); err == nil {
		t.Errorf("etcd answers while it is paused: %q", v)
	}
	check(t, l.Etcd.Stop(1))
	check(t, l.Etcd.Kill(2))
	check(t, l.Etcd.Resume(3))
	check(t, l.Etcd.Start(within(t)))
	holds(t, l.Etcd, "1")
}

// A wiped etcd starts its revisions again. One restored from a backup goes back to the backup's.
func TestEtcdLosesItsData(t *testing.T) {
	l := build(t, Options{Nodes: 1, EtcdMembers: 3})
	e, ctx := l.Etcd, within(t)
	each := func(f func(i int) error) {
		t.Helper()
		for i := 1; i <= 3; i++ {
			check(t, f(i))
		}
	}
	if err := e.Wipe(1); err == nil {
		t.Error("a running member was wiped")
	}
	put(t, e, "old")
	each(e.Stop)
	each(func(i int) error { return e.Save(i, "backup") })
	check(t, e.Start(ctx))
	old := revision(t, e)
	put(t, e, "new")
	each(e.Kill)
	each(e.Wipe)
	check(t, e.Start(ctx))
	if v, ok, err := e.Get(ctx, "/a"); ok || err != nil {
		t.Errorf("after a wipe: %q, %v", v, err)
	}
	if r := revision(t, e); r >= old {
		t.Errorf("revision %d after a wipe, %d before", r, old)
	}
	each(e.Kill)
	each(func(i int) error { return e.Load(i, "backup") })
	check(t, e.Start(ctx))
	holds(t, e, "old")
	if r := revision(t, e); r != old {
		t.Errorf("revision %d after a restore, %d at the backup", r, old)
	}
	if err := e.Load(1, "nosuch"); err == nil {
		t.Error("a running member was restored from a missing backup")
	}
}

// Every podlaned knows all members, so any two of them are enough.
func TestPodlanedUsesEveryMember(t *testing.T) {
	l := build(t, Options{Nodes: 1, Bin: built(t), EtcdMembers: 3})
	check(t, l.StartAll(within(t)))
	for i := 1; i <= 3; i++ {
		check(t, l.Etcd.Kill(i))
		leader(t, l.Etcd)
		check(t, l.Nodes[0].Restart(within(t)))
		check(t, l.Etcd.Start(within(t), i))
	}
}

func TestEtcdMemberEndsAtOnce(t *testing.T) {
	bin := t.TempDir()
	check(t, os.WriteFile(filepath.Join(bin, "lab"), []byte("#!/bin/sh\necho no luck today; exit 3\n"), 0o755))
	_, err := New(within(t), Options{Nodes: 1, Bin: bin})
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "no luck today") {
		t.Errorf("error %v; want the exit status and the output", err)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// put writes the tests' only key.
func put(t *testing.T, e *Etcd, value string) {
	t.Helper()
	check(t, e.Put(within(t), "/a", value))
}

func holds(t *testing.T, e *Etcd, want string) {
	t.Helper()
	if v, _, err := e.Get(within(t), "/a"); v != want || err != nil {
		t.Fatalf("Get: %q, %v; want %q", v, err, want)
	}
}

func leader(t *testing.T, e *Etcd) int {
	t.Helper()
	i, err := e.Leader(within(t))
	check(t, err)
	return i
}

func revision(t *testing.T, e *Etcd) int64 {
	t.Helper()
	r, err := e.Client.Get(within(t), "/")
	check(t, err)
	return r.Header.Revision
}
