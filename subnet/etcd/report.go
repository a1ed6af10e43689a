package etcd

import (
	"slices"
	"time"

	"github.com/podlane/podlane/subnet/store"
)

// reportGap is the least time between two deliveries. Each costs time in proportion to the set, and in a burst of events only
// the newest counts. After a slow delivery the gap is four times as long as the delivery. So deliveries take at most a fifth
// of the time, even if a set is full of junk.
const reportGap = 50 * time.Millisecond

// delivery holds what was delivered last, and whether there is news.
type delivery struct {
	err       error
	faults    []string // of the files
	news      bool     // there is something to deliver
	notBefore time.Time
}

// report delivers the state if there is news.
func (r *runner) report(err error) {
	if text(err) != text(r.err) {
		r.news = true
	}
	r.err = err
	if faults := r.store.files.faults(); !slices.Equal(faults, r.faults) {
		r.faults, r.news = faults, true
	}
	r.schedule.clear(deliverNews)
	if !r.news {
		return
	}
	start := time.Now()
	if start.Before(r.notBefore) {
		r.schedule.set(deliverNews, r.notBefore)
		return
	}
	r.news = false
	r.deliver(r.state())
	r.notBefore = time.Now().Add(max(reportGap, 4*time.Since(start)))
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (r *runner) state() store.State {
	st := r.machine.State()
	st.Seen, st.Conflict, st.Err = r.seen, r.last.Conflict, r.err
	st.Watching, st.Lists, st.Files = r.health.healthy, r.listing.count, r.faults
	return st
}
