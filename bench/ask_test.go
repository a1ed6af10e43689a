package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podlane/podlane/lab"
)

func TestClientAndServerRunOnOwnCores(t *testing.T) {
	willing := func([]string) error { return nil }
	refusing := func([]string) error { return errors.New("not permitted") }
	for _, c := range []struct {
		cores          []int
		try            func([]string) error
		client, server []string
		text           string
	}{
		{[]int{2, 5, 7}, willing, []string{"taskset", "-c", "2"}, []string{"taskset", "-c", "5"}, "the client on one core"},
		{[]int{0}, willing, nil, nil, "only core"},
		{[]int{0, 1}, refusing, nil, nil, "not permitted"},
	} {
		got := pinned(c.cores, c.try)
		if diff := cmp.Diff([][]string{c.client, c.server}, [][]string{got.client, got.server}); diff != "" {
			t.Errorf("cores %v, commands (-want +got):\n%s", c.cores, diff)
		}
		if !strings.Contains(got.text, c.text) {
			t.Errorf("cores %v: no %q in %q", c.cores, c.text, got.text)
		}
	}
}

// A server that cannot listen fails at once with its own error.
func TestServerEndsAtOnce(t *testing.T) {
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
		t.Errorf("after %v: %v", time.Since(began), err)
	}
}
