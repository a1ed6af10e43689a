package problems

import (
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
)

// recoveryTime is how long a problem must be absent until it is over. If it returns sooner, it is the same problem: nothing
// is logged.
const recoveryTime = 3 * time.Second

const (
	// lastingTime is how long another text of an existing problem must last until it is logged. Texts that alternate are not.
	lastingTime = 10 * time.Second
	// maxLogged is the maximum number of texts of one episode that are logged.
	maxLogged = 8
)

// episode is one occurrence of a kind of problem. It begins with the first text. It ends when there has been no text for
// recoveryTime. It decides which texts are logged.
type episode struct {
	current []string             // the current texts of the problem; none: it is absent
	last    []string             // the last texts before it was absent
	absent  time.Time            // since when it is absent
	recent  map[string]time.Time // the texts within the last recoveryTime, and when each was last set
	since   time.Time            // since when the current texts are the same, except for numbers
	logged  []string             // the texts that were logged
}

// record stores the current texts, and returns the new ones.
func (e *episode) record(texts []string, now time.Time) (added []string) {
	if e.recent == nil {
		e.recent = map[string]time.Time{}
	}
	for _, text := range e.current {
		e.recent[text] = now
	}
	maps.DeleteFunc(e.recent, func(_ string, until time.Time) bool { return !now.Before(until.Add(recoveryTime)) })
	for _, text := range texts {
		if _, known := e.recent[text]; !known {
			added = append(added, text)
		}
	}
	if len(texts) == 0 && len(e.current) > 0 {
		e.last, e.absent = e.current, now
	}
	if !slices.EqualFunc(e.current, texts, alike) {
		e.since = now
	}
	e.current = slices.Clone(texts)
	return added
}

// markLogged records that texts are logged.
func (e *episode) markLogged(texts []string) {
	for _, text := range texts {
		if len(e.logged) < maxLogged && !slices.Contains(e.logged, text) {
			e.logged = append(e.logged, text)
		}
	}
}

// alike reports whether two texts are the same except for numbers. A time, a port or a process id is different in each attempt.
func alike(a, b string) bool { return a == b || withoutNumbers(a) == withoutNumbers(b) }

func withoutNumbers(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, text)
}

// lastsAt returns when the current text has lasted long enough to be logged. Zero: it is logged already, or is not the only one.
func (e *episode) lastsAt() time.Time {
	logged := func(text string) bool { return alike(text, e.current[0]) }
	if len(e.current) != 1 || slices.ContainsFunc(e.logged, logged) || len(e.logged) == maxLogged {
		return time.Time{}
	}
	return e.since.Add(lastingTime)
}

// overAt returns when the episode ends if the problem stays absent; zero: the problem exists.
func (e *episode) overAt() time.Time {
	if len(e.current) > 0 {
		return time.Time{}
	}
	return e.absent.Add(recoveryTime)
}
