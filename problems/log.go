// Package problems holds the current problems of a command. It logs each one when it begins and when it ends.
package problems

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
)

// Log holds the current problems by kind. It logs one line at the first problem of a kind. It logs another when the kind has
// been absent for 3 s. In between, it logs another text of the kind if that lasts for 10 s. Texts that differ only in numbers
// count as the same. Several goroutines may use it.
type Log struct {
	log      logrus.FieldLogger
	now      func() time.Time
	mu       sync.Mutex
	episodes map[string]*episode // by kind
}

// New returns a Log without problems, which writes to log.
func New(log logrus.FieldLogger) *Log {
	return &Log{log: log, now: time.Now, episodes: map[string]*episode{}}
}

// Set sets a kind of problem to one text. The empty text means no problem. While the kind lasts, another text is logged once it
// has lasted for 10 s.
func (l *Log) Set(kind, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var texts []string
	if text != "" {
		texts = []string{text}
	}
	if first, _ := l.record(kind, texts); first {
		l.episodes[kind].markLogged(texts)
		l.log.Warnf("%s: %s", kind, text)
	}
	l.logLasting(l.now())
}

// SetAll sets a kind of problem to several texts, or to none. Each text is logged when it appears.
func (l *Log) SetAll(kind string, texts []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, added := l.record(kind, texts)
	if e := l.episodes[kind]; e != nil {
		e.markLogged(texts)
	}
	for _, text := range added {
		l.log.Warnf("%s: %s", kind, text)
	}
}

// record stores the current texts of a kind of problem. It reports whether the kind is new, and returns its new texts. The
// caller holds mu.
func (l *Log) record(kind string, texts []string) (first bool, added []string) {
	now := l.now()
	l.end(now)
	e := l.episodes[kind]
	if first = e == nil && len(texts) > 0; first {
		e = &episode{}
		l.episodes[kind] = e
	}
	if e != nil {
		added = e.record(texts, now)
	}
	return first, added
}

// end logs the recovery of the kinds that are over at a time, and removes them. The caller holds mu.
func (l *Log) end(now time.Time) {
	for _, kind := range slices.Sorted(maps.Keys(l.episodes)) {
		e := l.episodes[kind]
		if at := e.overAt(); !at.IsZero() && !now.Before(at) {
			delete(l.episodes, kind)
			l.log.Infof("%s: recovered; it was: %s", kind, strings.Join(e.last, "; "))
		}
	}
}

// logLasting logs the texts that have lasted long enough. The caller holds mu.
func (l *Log) logLasting(now time.Time) {
	for _, kind := range slices.Sorted(maps.Keys(l.episodes)) {
		e := l.episodes[kind]
		if at := e.lastsAt(); !at.IsZero() && !now.Before(at) {
			e.markLogged(e.current)
			l.log.Warnf("%s: %s", kind, strings.Join(e.current, "; "))
		}
	}
}

// LogRecovered logs the recoveries that are due, and the texts that have lasted long enough. It returns a channel that delivers
// when the next one is due. Nil: none will be.
func (l *Log) LogRecovered() <-chan time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.end(now)
	l.logLasting(now)
	var next time.Time
	for _, e := range l.episodes {
		for _, at := range []time.Time{e.overAt(), e.lastsAt()} {
			if !at.IsZero() && (next.IsZero() || at.Before(next)) {
				next = at
			}
		}
	}
	if next.IsZero() {
		return nil
	}
	return time.After(next.Sub(now))
}

// Run logs recoveries until ctx ends. Then it closes the log. It is for a command without a loop that waits for
// LogRecovered.
func (l *Log) Run(ctx context.Context) error {
	tick := time.NewTicker(recoveryTime)
	defer tick.Stop()
	defer l.Close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			l.LogRecovered()
		}
	}
}

// Close logs the recovery of every problem that is absent, without waiting for 3 s. A command calls it when it ends.
func (l *Log) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end(l.now().Add(recoveryTime))
}

// Check sets a kind of problem to an error. It reports whether there is none.
func (l *Log) Check(kind string, err error) bool {
	if err != nil {
		l.Set(kind, err.Error())
		return false
	}
	l.Set(kind, "")
	return true
}

// Get returns the current text of a kind, or nothing.
func (l *Log) Get(kind string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.episodes[kind]; e != nil {
		return strings.Join(e.current, "; ")
	}
	return ""
}

// List returns all problems, sorted by kind.
func (l *Log) List() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []string
	for _, kind := range slices.Sorted(maps.Keys(l.episodes)) {
		for _, text := range l.episodes[kind].current {
			list = append(list, kind+": "+text)
		}
	}
	return list
}
