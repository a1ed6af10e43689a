package etcd

import "time"

// reportGap is the least time between two deliveries: each costs as much as the set is large, and in a burst of events
// only the newest counts.
const reportGap = 50 * time.Millisecond

// report delivers the state where it is news.
func (r *runner) report(err error) {
	if words(err) != words(r.err) {
		r.dirty = true
	}
	r.err = err
	if r.dirty && !time.Now().Before(r.delivered.Add(reportGap)) {
		r.dirty, r.delivered = false, time.Now()
		r.deliver(r.state())
	}
}

func words(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (r *runner) state() State {
	s := &r.session
	st := State{
		Config: s.config, Network: s.network, Warnings: s.problems(),
		Retained: len(s.retained), Held: s.held(), Seen: r.seen, Conflict: r.last.conflict, Err: r.err,
	}
	if s.mirror != nil {
		st.Set = s.set()
	}
	if s.own.established {
		st.Own = s.own.lease
	}
	if st.Held && !s.own.reserved {
		st.Expiry = s.own.expiry
	}
	return st
}
