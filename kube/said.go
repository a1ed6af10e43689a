package main

import (
	"sync"

	"github.com/sirupsen/logrus"
)

// said logs each kind of trouble once when it comes and once when it is over, however often it is met in between. Several
// goroutines may use it.
type said struct {
	log     logrus.FieldLogger
	mu      sync.Mutex
	current map[string]string
}

func newSaid(log logrus.FieldLogger) *said { return &said{log: log, current: map[string]string{}} }

// check says how a kind of trouble is now, and tells whether there is none.
func (s *said) check(kind string, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, was := s.current[kind]
	switch {
	case err == nil && was:
		delete(s.current, kind)
		s.log.Infof("%s: well again; it was: %s", kind, before)
	case err != nil && !was:
		s.current[kind] = err.Error()
		s.log.Warnf("%s: %v", kind, err)
	}
	return err == nil
}
