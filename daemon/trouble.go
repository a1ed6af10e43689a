package main

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/sirupsen/logrus"
)

// troubles holds the current problems by kind. It is what status shows. It logs a problem once when it comes and once when
// its kind is over, however often it is seen in between. Several goroutines may use it.
type troubles struct {
	log     logrus.FieldLogger
	mu      sync.Mutex
	current map[string][]string
}

func newTroubles(log logrus.FieldLogger) *troubles {
	return &troubles{log: log, current: map[string][]string{}}
}

// set sets a kind of problem to one text, or to none when text is empty. While a kind lasts, a changed text is not logged.
func (t *troubles) set(kind, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before, was := t.current[kind]
	switch {
	case text == "":
		t.end(kind)
		return
	case !was:
		t.log.Warnf("%s: %s", kind, text)
	case len(before) == 1 && before[0] == text:
		return
	}
	t.current[kind] = []string{text}
}

// setAll sets a kind of problem to several texts, or to none. Each text is logged when it comes.
func (t *troubles) setAll(kind string, texts []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(texts) == 0 {
		t.end(kind)
		return
	}
	for _, text := range texts {
		if !slices.Contains(t.current[kind], text) {
			t.log.Warnf("%s: %s", kind, text)
		}
	}
	t.current[kind] = slices.Clone(texts)
}

// end forgets a kind and logs that it is over. The caller holds mu.
func (t *troubles) end(kind string) {
	if before, was := t.current[kind]; was {
		delete(t.current, kind)
		t.log.Infof("%s: recovered; it was: %s", kind, strings.Join(before, "; "))
	}
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
	return strings.Join(t.current[kind], "; ")
}

// list returns all problems, sorted by kind.
func (t *troubles) list() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []string
	for _, kind := range slices.Sorted(maps.Keys(t.current)) {
		for _, text := range t.current[kind] {
			list = append(list, kind+": "+text)
		}
	}
	return list
}
