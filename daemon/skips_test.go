package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"

	"github.com/podlane/podlane/subnet"
)

func skipList(from, to int) (list []subnet.Skip) {
	for i := from; i < to; i++ {
		list = append(list, subnet.Skip{Key: fmt.Sprint("k", i), Reason: "bad"})
	}
	return list
}

func TestNewSkipsAreLogged(t *testing.T) {
	var out strings.Builder
	log := logrus.New()
	log.SetOutput(&out)
	s := skips{log: log}
	lines := func(want int, when string) {
		t.Helper()
		if got := strings.Count(out.String(), "\n"); got != want {
			t.Errorf("%s: %d lines, want %d:\n%s", when, got, want, &out)
		}
		out.Reset()
	}
	s.set(skipList(0, 2), 2)
	lines(2, "two new ones")
	s.set(skipList(0, 2), 2)
	lines(0, "the same two")
	s.set([]subnet.Skip{{Key: "k0", Reason: "bad"}, {Key: "k1", Reason: "worse"}}, 2)
	lines(1, "one has another reason")
	s.set(skipList(1, 2), 1)
	lines(1, "it has the first reason again")
	s.set(nil, 0)
	lines(0, "none")
	s.set(skipList(0, 1), 1)
	lines(1, "one returns")
	s.set(skipList(0, 3000), 5000)
	if want := "5000 leases are skipped;"; !strings.Contains(out.String(), want) {
		t.Errorf("no %q in the log:\n%s", want, &out)
	}
	if len(s.named) != subnet.MaxSkips || s.count != 5000 {
		t.Errorf("%d of %d are named, want %d of 5000", len(s.named), s.count, subnet.MaxSkips)
	}
	lines(maxNamed+1, "many at once")
}
