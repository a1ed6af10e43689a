package etcd

import (
	"testing"
	"time"
)

func TestNextTask(t *testing.T) {
	now := time.Now()
	at := now.Add
	for name, c := range map[string]struct {
		plan func(*schedule)
		want time.Duration
	}{
		"nothing is scheduled":                {func(*schedule) {}, idle},
		"one task":                            {func(s *schedule) { s.set(checkStore, at(30*time.Second)) }, 30 * time.Second},
		"the earliest of several":             {func(s *schedule) { s.set(checkStore, at(3)); s.set(renewTTL, at(2)); s.set(listAll, at(4)) }, 2},
		"one that is overdue":                 {func(s *schedule) { s.set(listAll, at(-time.Second)) }, -time.Second},
		"the zero time":                       {func(s *schedule) { s.set(listAll, time.Time{}) }, time.Time{}.Sub(now)},
		"set again":                           {func(s *schedule) { s.set(listAll, at(1)); s.set(listAll, at(5)) }, 5},
		"cleared":                             {func(s *schedule) { s.set(listAll, at(1)); s.clear(listAll) }, idle},
		"set to no time":                      {func(s *schedule) { s.set(decideAgain, at(1)); s.setIf(decideAgain, time.Time{}) }, idle},
		"set to a time":                       {func(s *schedule) { s.setIf(decideAgain, at(1)) }, 1},
		"after a failure only the retry":      {func(s *schedule) { s.set(checkStore, at(1)); s.set(retryCall, at(2)) }, 2},
		"after a failure news is delivered":   {func(s *schedule) { s.set(deliverNews, at(1)); s.set(retryCall, at(2)) }, 1},
		"after a failure, later than the end": {func(s *schedule) { s.set(listAll, at(1)); s.set(retryCall, at(2*idle)) }, idle},
	} {
		var s schedule
		c.plan(&s)
		if got := s.next(now).Sub(now); got != c.want {
			t.Errorf("%s: the next task is due in %v, want %v", name, got, c.want)
		}
	}
}

func TestTaskIsDue(t *testing.T) {
	now := time.Now()
	var s schedule
	if s.has(listAll) || s.due(listAll, now) || s.after(listAll, now) {
		t.Error("a task that is not scheduled is due")
	}
	for name, c := range map[string]struct {
		at         time.Time
		due, after bool
	}{
		"earlier":       {now.Add(-1), true, false},
		"now":           {now, true, false},
		"later":         {now.Add(1), false, true},
		"the zero time": {time.Time{}, true, false},
	} {
		s.set(listAll, c.at)
		if !s.has(listAll) {
			t.Errorf("%s: it is not scheduled", name)
		}
		if got := s.due(listAll, now); got != c.due {
			t.Errorf("%s: due %v, want %v", name, got, c.due)
		}
		if got := s.after(listAll, now); got != c.after {
			t.Errorf("%s: after %v, want %v", name, got, c.after)
		}
	}
	s.clear(listAll)
	if s.has(listAll) || s.due(listAll, now) {
		t.Error("a cleared task is due")
	}
}

func TestBackOffGrowsToFiveSeconds(t *testing.T) {
	for failures, want := range map[int]time.Duration{
		1: 100 * time.Millisecond, 2: 200 * time.Millisecond, 5: 1600 * time.Millisecond, 7: 5 * time.Second, 1000: 5 * time.Second,
	} {
		for range 100 {
			if got := backOff(failures); got < want/2 || got > want*3/2 {
				t.Fatalf("after %d failures it waits %v, want %v, half more or less", failures, got, want)
			}
		}
	}
}
