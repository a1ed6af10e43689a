package problems

import (
	"maps"
	"slices"
	"time"
)

// recoveryTime is how long a problem must be absent until it is over. If it returns sooner, it is the same problem: nothing
// is logged.
const recoveryTime = 3 * time.Second

// episode is one occurrence of a kind of problem. It begins with the first text. It ends when there has been no text for
// recoveryTime. It decides which texts are logged.
type episode struct {
	current []string             // the current texts of the problem; none: it is absent
	last    []string             // the last texts before it was absent
	absent  time.Time            // since when it is absent
	recent  map[string]time.Time // the texts within the last recoveryTime, and when each was last set
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
	e.current = slices.Clone(texts)
	return added
}

// overAt returns when the episode ends if the problem stays absent; zero: the problem exists.
func (e *episode) overAt() time.Time {
	if len(e.current) > 0 {
		return time.Time{}
	}
	return e.absent.Add(recoveryTime)
}
