package main

import (
	"slices"
	"time"

	"github.com/podlane/podlane/kernel"
	"github.com/podlane/podlane/status"
)

// maxRepairs bounds how many repairs the status names.
const maxRepairs = 10

// repairs holds the repairs since the start: the writes that restored what another program changed.
type repairs struct {
	last  []status.Repair // the last maxRepairs rounds, newest last
	count int             // of all writes
}

// record adds the repairs of one round and returns them in words.
func (r *repairs) record(ops []kernel.Op, now time.Time) string {
	text := summary(ops)
	r.count += len(ops)
	r.last = append(r.last, status.Repair{Time: now, What: text})
	if more := len(r.last) - maxRepairs; more > 0 {
		r.last = slices.Delete(r.last, 0, more)
	}
	return text
}
