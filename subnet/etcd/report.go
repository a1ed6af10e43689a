package etcd

import (
	"slices"
	"time"

	"github.com/podlane/podlane/subnet/store"
)

// reportGap is the least time between two deliveries: each costs as much as the set is large, and in a burst of events
// only the newest counts. Deliveries that cost more than a quarter of it are further apart, so that a set that somebody
// has filled with junk does not take all the time there is.
const reportGap = 50 * time.Millisecond

// report delivers the state where it is news.
func (r *runner) report(err error) {
	if words(err) != words(r.err) {
		r.dirty = true
	}
	r.err = err
	if faults := r.store.files.faults(); !slices.Equal(faults, r.faults) {
		r.faults, r.dirty = faults, true
	}
	if start := time.Now(); r.dirty && !start.Before(r.reportAt) {
		r.dirty = false
		r.deliver(r.state())
		r.reportAt = time.Now().Add(max(reportGap, 4*time.Since(start)))
	}
}

func words(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (r *runner) state() store.State {
	s := &r.session
	st := store.State{
		Config: s.config, Network: s.network, Warnings: s.problems(),
		Retained: len(s.retained), Held: s.held(), Seen: r.seen, Conflict: r.last.conflict, Err: r.err,
		Watching: r.hearing.good, Lists: r.lists, Losses: s.losses, Files: r.faults,
	}
	if s.mirror != nil {
		st.Set, st.ConfigRevision = s.set(), s.mirror.config.revision
	}
	if s.own.established {
		st.Own = s.own.lease
	}
	if s.own.established && !s.own.reserved {
		st.Expiry = s.own.expiry
	}
	return st
}
