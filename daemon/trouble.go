package main

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
)

// troubles holds the current problems by kind, which status shows. It logs a problem once when it appears and once when its
// kind is over, however often it is set, comes and goes in between: see episode. Several goroutines may use it.
type troubles struct {
	log      logrus.FieldLogger
	now      func() time.Time
	mu       sync.Mutex
	episodes map[string]*episode // by kind
}

func newTroubles(log logrus.FieldLogger) *troubles {
	return &troubles{log: log, now: time.Now, episodes: map[string]*episode{}}
}

// set sets a kind of problem to one text, or to none if text is empty. While a kind lasts, a changed text is not logged.
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

// setAll sets a kind of problem to several texts, or to none. Each text is logged when it appears.
func (t *troubles) setAll(kind string, texts []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, news := t.see(kind, texts)
	for _, text := range news {
		t.log.Warnf("%s: %s", kind, text)
	}
}

// see records the current texts of a kind of problem. It reports whether the kind is new, and returns its new texts. The
// caller holds mu.
func (t *troubles) see(kind string, texts []string) (first bool, news []string) {
	now := t.now()
	t.end(now)
	s := t.episodes[kind]
	if first = s == nil && len(texts) > 0; first {
		s = &episode{}
		t.episodes[kind] = s
	}
	if s != nil {
		news = s.see(texts, now)
	}
	return first, news
}

// end logs the kinds that are over at a time, and removes them. The caller holds mu.
func (t *troubles) end(now time.Time) {
	for _, kind := range slices.Sorted(maps.Keys(t.episodes)) {
		s := t.episodes[kind]
		if at := s.overAt(); !at.IsZero() && !now.Before(at) {
			delete(t.episodes, kind)
			t.log.Infof("%s: recovered; it was: %s", kind, strings.Join(s.last, "; "))
		}
	}
}

// logRecovered logs the ends that are due, and returns a channel that delivers when the next one is due; nil: there is
// none.
func (t *troubles) logRecovered() <-chan time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	t.end(now)
	var next time.Time
	for _, s := range t.episodes {
		if at := s.overAt(); !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if next.IsZero() {
		return nil
	}
	return time.After(next.Sub(now))
}

// close logs the end of every problem that is away. The daemon calls it when it ends, because it does not wait for
// recoveryTime then.
func (t *troubles) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end(t.now().Add(recoveryTime))
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
	if s := t.episodes[kind]; s != nil {
		return strings.Join(s.current, "; ")
	}
	return ""
}

// list returns all problems, sorted by kind.
func (t *troubles) list() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []string
	for _, kind := range slices.Sorted(maps.Keys(t.episodes)) {
		for _, text := range t.episodes[kind].current {
			list = append(list, kind+": "+text)
		}
	}
	return list
}
