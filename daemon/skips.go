package main

import (
	"github.com/sirupsen/logrus"

	"github.com/podlane/podlane/subnet"
)

// skips holds the leases that are not programmed, with the reasons. It logs each new one; of many at once, only the first.
type skips struct {
	log   logrus.FieldLogger
	named []subnet.Skip // the first subnet.MaxSkips
	count int           // all of them
}

// set replaces the skips. count is the number of all, also of those that are not named.
func (s *skips) set(named []subnet.Skip, count int) {
	named = named[:min(len(named), subnet.MaxSkips)]
	for i, skip := range without(named, s.named) {
		if i == maxNamed {
			s.log.Warnf("%d leases are skipped; `podlaned status` lists them", count)
			break
		}
		s.log.Warnf("lease %s is skipped: %s", skip.Key, skip.Reason)
	}
	s.named, s.count = named, count
}

// without returns those of a that are not in b.
func without(a, b []subnet.Skip) (left []subnet.Skip) {
	known := map[subnet.Skip]bool{}
	for _, skip := range b {
		known[skip] = true
	}
	for _, skip := range a {
		if !known[skip] {
			left = append(left, skip)
		}
	}
	return left
}
