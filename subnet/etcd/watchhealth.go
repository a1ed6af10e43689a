package etcd

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Does the watch still work?
//
// A watch can be silent for these reasons:
//   - nothing happens
//   - its member of etcd has stopped, was cut off, or has lost its data; the connection shows that late or never
//
// So the watch is asked for its progress. etcd answers that at once (since 3.4) with the revision of the watch. etcd's
// grpc-proxy and an older etcd never answer it, although their watches work. Three watches in a row that began and stayed
// silent show such a server. From then on a check replaces the answer: it compares etcd with the mirror. Three
// watches that were each cut off before the first progress request look the same. So the check is about as frequent as a
// progress request, and shows as soon that etcd is gone.

const (
	askEvery      = 3500 * time.Millisecond // between two progress requests
	silentAfter   = 6 * time.Second         // without a response
	silentAtMost  = 30 * time.Second        // the same, if new connections have not helped, or progress requests get no answer
	checkNoAnswer = 5 * time.Second         // the longest time between two checks of etcd, if progress requests get no answer
)

// watchHealth holds whether the watch works.
type watchHealth struct {
	healthy    bool      // the watch has sent a response, and is not silent
	started    bool      // last is set
	last       time.Time // when the watch was started, sent a response, or was given up
	givenUp    int       // watches given up in a row
	began      bool      // the watch has confirmed its start, and has answered no progress request since
	unanswered int       // how many such watches have been given up since the last answer
}

// received records a response of the watch, and reports whether the watch was unhealthy before. answer: it answers a progress
// request. Only that shows that a later silence is a fault, because every watch confirms its start.
func (h *watchHealth) received(answer, start bool, now time.Time) (recovered bool) {
	recovered = !h.healthy
	if answer {
		*h = watchHealth{}
	}
	h.healthy, h.started, h.last, h.givenUp, h.began = true, true, now, 0, h.began || start
	return recovered
}

// unanswering reports whether the server's watches answer no progress requests.
func (h watchHealth) unanswering() bool { return h.unanswered >= 3 }

// checked records that a check has found etcd equal to the mirror. That replaces the answer of a watch that gives none.
func (h *watchHealth) checked(now time.Time) {
	if h.unanswering() {
		h.healthy, h.started, h.last = true, true, now
	}
}

// start begins the wait for the first response of a watch.
func (h *watchHealth) start(now time.Time) { h.started, h.last = true, now }

// giveUp records that a watch is given up. The next one gets more time, so that an etcd that is down or overloaded does not
// get new connections all the time.
func (h *watchHealth) giveUp(now time.Time) {
	next := watchHealth{started: true, last: now, givenUp: h.givenUp + 1, unanswered: h.unanswered}
	if h.began {
		next.unanswered++
	}
	*h = next
}

// silentAt returns when a watch without a response is given up. Zero: there is no watch yet.
func (h watchHealth) silentAt() time.Time {
	switch {
	case !h.started:
		return time.Time{}
	case h.unanswering():
		return h.last.Add(silentAtMost)
	}
	return h.last.Add(min(silentAfter<<min(h.givenUp, 3), silentAtMost))
}

// askEvery returns the time between two progress requests. grpc-proxy logs each one, because it does not know them.
func (h watchHealth) askEvery() time.Duration {
	if h.unanswering() {
		return silentAtMost
	}
	return askEvery
}

// checkEvery returns the time between two checks of etcd. usual is Options.CheckEvery.
func (h watchHealth) checkEvery(usual time.Duration) time.Duration {
	if h.unanswering() {
		return min(usual, checkNoAnswer)
	}
	return usual
}

// scheduleCheck schedules the next check of etcd.
func (r *runner) scheduleCheck() {
	r.schedule.set(checkStore, time.Now().Add(jitter(r.health.checkEvery(r.opts.CheckEvery))))
}

// startWatch starts a watch at the revision of the mirror, unless everything will be listed anyway, or etcd must be compared
// with the mirror first. It lasts until it is stopped.
func (r *runner) startWatch(ctx context.Context) {
	if r.feed == nil && !r.mustCompare && !r.schedule.has(listAll) {
		r.feed = r.store.watch(context.WithoutCancel(ctx), r.client, r.machine.Revision(), r.health.askEvery())
		r.health.start(time.Now())
	}
}

// stopWatch ends the watch, if there is one.
func (r *runner) stopWatch() {
	r.feed.stop()
	r.feed = nil
}

// replaceSilentWatch gives up connections on which the watch is silent. New ones end at members that answer: the kernel of a
// stopped member accepts a connection, but gRPC does not.
func (r *runner) replaceSilentWatch() {
	silent := func() bool {
		at := r.health.silentAt()
		return !at.IsZero() && !time.Now().Before(at)
	}
	if !silent() {
		return
	}
	r.drain() // it may have sent something while we were busy
	if silent() {
		r.health.giveUp(time.Now())
		r.news = true
		r.disconnect()
	}
}

// disconnect ends all connections. Later calls and watches make new ones.
func (r *runner) disconnect() {
	r.stopWatch()
	r.client = nil
	_ = r.store.Close() // the connections are dropped anyway
	r.compareFirst()
}

// receive applies a response of the watch. If the watch has ended, everything is listed again. etcd may have compacted the
// revision at which it was to resume. A response that may have come over a new connection is dropped: the next watch brings it
// again.
func (r *runner) receive(resp clientv3.WatchResponse, more bool) {
	if r.store.newConnection() {
		r.reconnected()
		return
	}
	if !more || resp.Err() != nil {
		r.stopWatch()
		r.health.healthy, r.news = false, true
		r.relist()
		return
	}
	r.feed.waiting.Add(-size(resp))
	now, unanswering := time.Now(), r.health.unanswering()
	r.seen = now
	if r.health.received(resp.IsProgressNotify(), resp.Created, now) {
		r.news = true
	}
	if unanswering && !r.health.unanswering() { // it answers after all: the next watch is asked more often
		r.stopWatch()
	}
	if r.machine.Watched(r.store.events(resp), now) {
		r.answered()
		return
	}
	// A revision below the mirror's is that of a member that lags behind, or of an etcd that has lost data. Newer ones come
	// without events then.
	if resp.Header.Revision < r.machine.Revision() {
		r.schedule.set(checkStore, now)
	}
	r.machine.Reached(resp.Header.Revision)
}

// drain applies the responses that have already arrived, at most 1000, so that a burst of events is one change.
func (r *runner) drain() {
	for range 1000 {
		select {
		case resp, more := <-r.feed.source():
			r.receive(resp, more)
		default:
			return
		}
	}
}
