package problems

import (
	"maps"
	"slices"
	"time"
)

// recoveryTime is how long a problem must be away until it is over. If it returns sooner, it is the same problem: nothing is
// logged.
const recoveryTime = 3 * time.Second

// episode is one occurrence of a kind of problem. It begins with the first text. It ends when there has been no text for
// recoveryTime. It decides which texts are logged.
type episode struct {
	current []string             // the current texts of the problem; none: it is away
	last    []string             // what current was before it went away
	away    time.Time            // since when it is away
	seen    map[string]time.Time // the texts within the last recoveryTime, and when each ended
}

// see records the current texts, and returns the new ones.
func (s *episode) see(texts []string, now time.Time) (news []string) {
	if s.seen == nil {
		s.seen = map[string]time.Time{}
	}
	for _, text := range s.current {
		s.seen[text] = now
	}
	maps.DeleteFunc(s.seen, func(_ string, until time.Time) bool { return !now.Before(until.Add(recoveryTime)) })
	for _, text := range texts {
		if _, known := s.seen[text]; !known {
			news = append(news, text)
		}
	}
	if len(texts) == 0 && len(s.current) > 0 {
		s.last, s.away = s.current, now
	}
	s.current = slices.Clone(texts)
	return news
}

// overAt returns when the episode ends if the problem stays away; zero: the problem exists.
func (s *episode) overAt() time.Time {
	if len(s.current) > 0 {
		return time.Time{}
	}
	return s.away.Add(recoveryTime)
}
