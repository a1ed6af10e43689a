package main

import (
	"sync"
	"testing"
)

func TestMailboxHoldsTheNewest(t *testing.T) {
	m := newMailbox[int]()
	for i := range 5 {
		m.put(i)
	}
	if got := <-m; got != 4 {
		t.Errorf("got %d, want the newest, 4", got)
	}
	select {
	case v := <-m:
		t.Errorf("an older value is left: %d", v)
	default:
	}
}

// The writer and the reader never wait for each other, and the last value arrives.
func TestMailboxBetweenGoroutines(t *testing.T) {
	m := newMailbox[int]()
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 10_000 {
			m.put(i)
		}
	})
	last := -1
	for last != 9_999 {
		v := <-m
		if v <= last {
			t.Fatalf("%d comes after %d", v, last)
		}
		last = v
	}
	wg.Wait()
}

func TestManyKicksAreOne(t *testing.T) {
	k := newKicks()
	for range 3 {
		k.kick()
	}
	<-k
	select {
	case <-k:
		t.Error("a second kick is left")
	default:
	}
}
