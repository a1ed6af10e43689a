package main

import (
	"maps"
	"slices"
	"sync"

	"github.com/sirupsen/logrus"
)

// troubles is what is wrong just now, by kind. It is what status shows, and it logs a kind once when it comes and once
// when it is over, however often it is seen in between. Several goroutines may use it.
type troubles struct {
	log     logrus.FieldLogger
	mu      sync.Mutex
	current map[string]string
}

func newTroubles(log logrus.FieldLogger) *troubles {
	return &troubles{log: log, current: map[string]string{}}
}

// set says how a kind of trouble is now: text, or nothing when all is well.
func (t *troubles) set(kind, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before, was := t.current[kind]
	switch {
	case text == "" && was:
		delete(t.current, kind)
		t.log.Infof("%s: well again; it was: %s", kind, before)
	case text != "" && !was:
		t.log.Warnf("%s: %s", kind, text)
	}
	if text != "" {
		t.current[kind] = text
	}
}

// check sets a kind of trouble to an error, and tells whether there is none.
func (t *troubles) check(kind string, err error) bool {
	if err != nil {
		t.set(kind, err.Error())
		return false
	}
	t.set(kind, "")
	return true
}

// get is what is wrong of a kind; nothing when all is well.
func (t *troubles) get(kind string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.current[kind]
}

// list is all troubles, in the order of their kinds.
func (t *troubles) list() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]string, 0, len(t.current))
	for _, kind := range slices.Sorted(maps.Keys(t.current)) {
		list = append(list, kind+": "+t.current[kind])
	}
	return list
}
