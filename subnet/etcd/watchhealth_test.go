package etcd

import (
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/podlane/podlane/subnet/machine"
)

// unansweringHealth returns the health after so many watches that began and answered nothing.
func unansweringHealth(now time.Time, watches int) (h watchHealth) {
	for range watches {
		h.start(now)
		h.received(false, true, now)
		h.giveUp(now)
	}
	return h
}

func TestWatchIsGivenUpAfterSilence(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		happens func(*watchHealth)
		want    time.Duration // until the watch is given up; 0: never
		healthy bool
	}{
		"no watch yet":              {func(*watchHealth) {}, 0, false},
		"started":                   {func(h *watchHealth) { h.start(now) }, silentAfter, false},
		"confirmed":                 {func(h *watchHealth) { h.start(now); h.received(false, true, now) }, silentAfter, true},
		"given up once":             {func(h *watchHealth) { h.start(now); h.giveUp(now) }, 2 * silentAfter, false},
		"given up twice":            {func(h *watchHealth) { h.start(now); h.giveUp(now); h.giveUp(now) }, 4 * silentAfter, false},
		"given up often":            {func(h *watchHealth) { *h = watchHealth{givenUp: 99}; h.giveUp(now) }, silentAtMost, false},
		"it answers again":          {func(h *watchHealth) { h.giveUp(now); h.received(true, false, now) }, silentAfter, true},
		"it answers no requests":    {func(h *watchHealth) { *h = unansweringHealth(now, 3) }, silentAtMost, false},
		"one after two such":        {func(h *watchHealth) { *h = unansweringHealth(now, 2); h.received(false, true, now) }, silentAfter, true},
		"a check replaces answers":  {func(h *watchHealth) { *h = unansweringHealth(now.Add(-time.Hour), 3); h.checked(now) }, silentAtMost, true},
		"a check is not enough":     {func(h *watchHealth) { h.giveUp(now); h.checked(now.Add(time.Hour)) }, 2 * silentAfter, false},
		"a watch that never began":  {func(h *watchHealth) { *h = watchHealth{unanswered: 2}; h.start(now); h.giveUp(now) }, 2 * silentAfter, false},
		"an event is not an answer": {func(h *watchHealth) { *h = unansweringHealth(now, 3); h.received(false, false, now) }, silentAtMost, true},
	} {
		t.Run(name, func(t *testing.T) {
			var h watchHealth
			c.happens(&h)
			want := time.Time{}
			if c.want > 0 {
				want = now.Add(c.want)
			}
			if got := h.silentAt(); !got.Equal(want) {
				t.Errorf("given up at %v, want %v", got, want)
			}
			if h.healthy != c.healthy {
				t.Errorf("healthy %v, want %v", h.healthy, c.healthy)
			}
		})
	}
}

func TestProgressRequestsAreRareIfTheyAreNotAnswered(t *testing.T) {
	now := time.Now()
	h := unansweringHealth(now, 3)
	if got := h.askEvery(); got != silentAtMost {
		t.Errorf("it is asked every %v, want %v", got, silentAtMost)
	}
	if got := h.checkEvery(time.Minute); got != checkNoAnswer {
		t.Errorf("etcd is checked every %v, want %v", got, checkNoAnswer)
	}
	h.received(true, false, now)
	if got := h.askEvery(); got != askEvery {
		t.Errorf("after an answer it is asked every %v, want %v", got, askEvery)
	}
	if got := h.checkEvery(time.Minute); got != time.Minute {
		t.Errorf("after an answer etcd is checked every %v, want %v", got, time.Minute)
	}
}

// A watch that was seldom asked answers after all. Another one replaces it, which is asked as often as usual.
func TestUnansweringWatchThatAnswersIsReplaced(t *testing.T) {
	ended := make(chan clientv3.WatchResponse)
	close(ended)
	stopped := false
	r := &runner{
		store: &Store{}, machine: machine.New(machine.Options{}), health: watchHealth{unanswered: 3},
		feed: &feed{responses: ended, cancel: func() { stopped = true }},
	}
	list := machine.NewMirror()
	list.Complete(7)
	r.machine.Replace(list, false, time.Now())
	r.receive(clientv3.WatchResponse{Header: &pb.ResponseHeader{Revision: 7}, Created: true}, true)
	if stopped || r.feed == nil {
		t.Error("its start is not an answer")
	}
	r.receive(clientv3.WatchResponse{Header: &pb.ResponseHeader{Revision: 7}}, true)
	if !stopped || r.feed != nil {
		t.Errorf("stopped %v, want another watch", stopped)
	}
	if r.health.unanswering() {
		t.Errorf("%+v after an answer", r.health)
	}
	if r.schedule.has(listAll) {
		t.Error("everything is listed again")
	}
}

func TestWatchIsSeldomGivenUp(t *testing.T) {
	for name, c := range map[string]struct {
		begins, answers bool
		events          time.Duration // between two; 0: there are none
		least, most     int           // how often it is given up in ten minutes
	}{
		"etcd":                         {begins: true, answers: true},
		"no answers":                   {begins: true, least: 15, most: 3 + int(10*time.Minute/silentAtMost)},
		"no answers, some events":      {begins: true, events: 7 * time.Second, least: 1, most: 3},
		"no answers, but many events":  {begins: true, events: 3 * time.Second},
		"the watch never begins: down": {least: 15, most: 3 + int(10*time.Minute/silentAtMost)},
	} {
		h, count := watchHealth{}, 0
		start := time.Now()
		event := start
		h.start(start)
		for now := start; now.Before(start.Add(10 * time.Minute)); now = now.Add(time.Second) {
			if now.Equal(start) && c.begins {
				h.received(false, true, now)
			}
			if c.answers {
				h.received(true, false, now)
			}
			if c.events > 0 && !now.Before(event.Add(c.events)) {
				event = now
				h.received(false, false, now)
			}
			if !now.Before(h.silentAt()) {
				count++
				h.giveUp(now)
				h.start(now)
				if c.begins {
					h.received(false, true, now)
				}
			}
		}
		if count < c.least || count > c.most {
			t.Errorf("%s: given up %d times in ten minutes, want %d to %d", name, count, c.least, c.most)
		}
	}
}
