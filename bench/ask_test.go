package main

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
)

func TestEndsAreOnCoresOfTheirOwn(t *testing.T) {
	willing := func([]string) error { return nil }
	c := pinned([]int{2, 5, 7}, willing)
	if !slices.Equal(c.client, []string{"taskset", "-c", "2"}) || !slices.Equal(c.server, []string{"taskset", "-c", "5"}) {
		t.Error(c)
	}
	if c := pinned([]int{0}, willing); c.client != nil || c.server != nil || !strings.Contains(c.text, "only core") {
		t.Error(c)
	}
	if c := pinned([]int{0, 1}, func([]string) error { return errors.New("not permitted") }); c.client != nil || c.server != nil || !strings.Contains(c.text, "not permitted") {
		t.Error(c)
	}
}

// A server that cannot listen fails at once and in its own words.
func TestServerThatEndsAtOnce(t *testing.T) {
	bin, err := filepath.Abs("../bin")
	if err != nil {
		t.Fatal(err)
	}
	l, err := lab.New(t.Context(), lab.Options{Nodes: 1, Bin: bin})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	p := l.Nodes[0].Place
	w := way{from: p, to: p, addr: l.Nodes[0].Addr}
	began := time.Now()
	_, _, err = w.ask(t.Context(), []string{"sh", "-c", "echo no such luck >&2; exit 3"}, "5202", []string{"true"})
	if err == nil || !strings.Contains(err.Error(), "exit status 3: no such luck") || time.Since(began) > 20*time.Second {
		t.Error(err, time.Since(began))
	}
}
