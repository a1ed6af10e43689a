package main

import (
	"maps"
	"slices"
	"time"
)

// calm is how long a problem has to be away until it is over. One that comes back sooner is the same problem: its end was
// none, and its return is no news.
const calm = 3 * time.Second

// spell is the time from the first sight of a kind of problem until it has been away for calm. It tells what is news;
// current is the truth at any moment.
type spell struct {
	current []string             // the texts of the problem; none: it is away
	last    []string             // what current was before it went away
	away    time.Time            // since when
	seen    map[string]time.Time // the texts of the last calm, and until when each was there
}

// see notes the texts that a kind of problem has now, and returns those that are news.
func (s *spell) see(texts []string, now time.Time) (news []string) {
	if s.seen == nil {
		s.seen = map[string]time.Time{}
	}
	for _, text := range s.current {
		s.seen[text] = now
	}
	maps.DeleteFunc(s.seen, func(_ string, until time.Time) bool { return !now.Before(until.Add(calm)) })
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

// overAt returns when the spell is over if the problem stays away; zero: it is there.
func (s *spell) overAt() time.Time {
	if len(s.current) > 0 {
		return time.Time{}
	}
	return s.away.Add(calm)
}
