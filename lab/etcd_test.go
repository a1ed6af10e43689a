package lab

import (
	"context"
	"testing"
	"time"
)

func TestEtcdKeepsItsDataOverARestart(t *testing.T) {
	l := build(t, Options{Nodes: 1})
	ctx := within(t)
	if err := l.Etcd.Put(ctx, "/a", "1"); err != nil {
		t.Fatal(err)
	}
	l.Etcd.Stop(1)
	if err := l.Etcd.Start(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if v, ok, err := l.Etcd.Get(ctx, "/a"); v != "1" || !ok || err != nil {
		t.Errorf("Get: %q %v %v", v, ok, err)
	}
	if err := l.Etcd.Delete(ctx, "/a"); err != nil {
		t.Fatal(err)
	}
	if all, err := l.Etcd.List(ctx, "/"); len(all) != 0 || err != nil {
		t.Errorf("List: %v %v", all, err)
	}
}

func TestEtcdWithoutAQuorum(t *testing.T) {
	l := build(t, Options{Nodes: 1, EtcdMembers: 3})
	ctx := within(t)
	l.Etcd.Stop(1)
	if err := l.Etcd.Put(ctx, "/a", "1"); err != nil {
		t.Fatalf("with two of three members: %v", err)
	}
	l.Etcd.Stop(2)
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	if err := l.Etcd.Put(short, "/a", "2"); err == nil {
		t.Error("one of three members takes a write")
	}
	if err := l.Etcd.Start(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if err := l.Etcd.Put(ctx, "/a", "3"); err != nil {
		t.Errorf("with two of three members again: %v", err)
	}
}

// A watcher does not hold up a member that stops.
func TestEtcdStopsUnderAWatcher(t *testing.T) {
	l := build(t, Options{Nodes: 1})
	ctx := within(t)
	events := l.Etcd.Client.Watch(ctx, "/a")
	if err := l.Etcd.Put(ctx, "/a", "1"); err != nil {
		t.Fatal(err)
	}
	<-events
	begun := time.Now()
	l.Etcd.Stop(1)
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("stopping took %v", took)
	}
}
