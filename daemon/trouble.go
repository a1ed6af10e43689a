package main

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
)

// troubles holds the current problems by kind. It is what status shows. It logs a problem once when it comes and once when
// its kind is over, however often it is seen in between, and however often it comes and goes: see spell. Several goroutines
// may use it.
type troubles struct {
	log    logrus.FieldLogger
	now    func() time.Time
	mu     sync.Mutex
	spells map[string]*spell // by kind
}

func newTroubles(log logrus.FieldLogger) *troubles {
	return &troubles{log: log, now: time.Now, spells: map[string]*spell{}}
}

// set sets a kind of problem to one text, or to none when text is empty. While a kind lasts, a changed text is not logged.
func (t *troubles) set(kind, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var texts []string
	if text != "" {
		texts = []string{text}
	}
	if first, _ := t.see(kind, texts); first {
		t.log.Warnf("%s: %s", kind, text)
	}
}

// setAll sets a kind of problem to several texts, or to none. Each text is logged when it comes.
func (t *troubles) setAll(kind string, texts []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, news := t.see(kind, texts)
	for _, text := range news {
		t.log.Warnf("%s: %s", kind, text)
	}
}

// see notes what a kind of problem is now. It reports whether the kind was not there before, and which of its texts are news.
// The caller holds mu.
func (t *troubles) see(kind string, texts []string) (first bool, news []string) {
	now := t.now()
	t.end(now)
	s := t.spells[kind]
	if first = s == nil && len(texts) > 0; first {
		s = &spell{}
		t.spells[kind] = s
	}
	if s != nil {
		news = s.see(texts, now)
	}
	return first, news
}

// end logs the kinds that are over at a time, and forgets them. The caller holds mu.
func (t *troubles) end(now time.Time) {
	for _, kind := range slices.Sorted(maps.Keys(t.spells)) {
		s := t.spells[kind]
		if at := s.overAt(); !at.IsZero() && !now.Before(at) {
			delete(t.spells, kind)
			t.log.Infof("%s: recovered; it was: %s", kind, strings.Join(s.last, "; "))
		}
	}
}

// settle logs the ends that are due, and returns a channel that delivers when the next one is; nil: none is near.
func (t *troubles) settle() <-chan time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	t.end(now)
	var next time.Time
	for _, s := range t.spells {
		if at := s.overAt(); !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if next.IsZero() {
		return nil
	}
	return time.After(next.Sub(now))
}

// close logs the end of every problem that is away. It is for the end of the daemon, which waits for no calm.
func (t *troubles) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end(t.now().Add(calm))
}

// check sets a kind of problem to an error, and reports whether there is none.
func (t *troubles) check(kind string, err error) bool {
	if err != nil {
		t.set(kind, err.Error())
		return false
	}
	t.set(kind, "")
	return true
}

// get returns the current text of a kind, or nothing.
func (t *troubles) get(kind string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.spells[kind]; s != nil {
		return strings.Join(s.current, "; ")
	}
	return ""
}

// list returns all problems, sorted by kind.
func (t *troubles) list() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []string
	for _, kind := range slices.Sorted(maps.Keys(t.spells)) {
		for _, text := range t.spells[kind].current {
			list = append(list, kind+": "+text)
		}
	}
	return list
}
