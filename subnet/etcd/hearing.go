package etcd

import (
	"context"
	"time"
)

// A watch can be silent because nothing happens, or because the member of etcd that it is on has stopped, was cut off,
// or lost its data; the connection tells late or never. So the watch is asked for its progress, which etcd answers at
// once (since 3.4) with the revision that it is at.

const (
	askEvery   = 2 * time.Second
	deafAfter  = 5 * time.Second  // without a word
	deafAtMost = 30 * time.Second // the same, where new connections have not helped
)

// hearing is how well the watch is heard.
type hearing struct {
	good bool
	last time.Time // when it said something, or was given up; zero: there was none yet
	deaf int       // how often in a row it was given up
}

// heard notes a word of the watch, and tells whether that is news.
func (h *hearing) heard(now time.Time) (news bool) {
	news = !h.good
	*h = hearing{good: true, last: now}
	return news
}

// expect begins the wait for the first word.
func (h *hearing) expect(now time.Time) {
	if h.last.IsZero() {
		h.last = now
	}
}

// giveUp notes that a watch is given up; the next one is given more time, so that an etcd that is down or overwhelmed
// does not get new connections all the time.
func (h *hearing) giveUp(now time.Time) { *h = hearing{last: now, deaf: h.deaf + 1} }

// deafAt is when a watch that says nothing is to be given up.
func (h hearing) deafAt() time.Time {
	if h.last.IsZero() {
		return time.Time{}
	}
	return h.last.Add(min(deafAfter<<min(h.deaf, 3), deafAtMost))
}

// follow begins a watch where the mirror ends, unless everything is to be listed anyway.
func (r *runner) follow(ctx context.Context) {
	if r.feed == nil && r.listAt.IsZero() {
		r.feed = r.store.watch(ctx, r.client, r.session.mirror.revision)
		r.hearing.expect(time.Now())
	}
}

// listen gives up connections over which the watch says nothing any more. New ones end at members that answer: one that
// has stopped lets itself be connected to by its kernel, but not by gRPC.
func (r *runner) listen() {
	if !due(r.hearing.deafAt()) {
		return
	}
	r.drain() // it may have spoken while we were busy
	if due(r.hearing.deafAt()) {
		r.hearing.giveUp(time.Now())
		r.dirty = true
		r.hangUp()
	}
}

// hangUp ends all connections. The next calls and the next watch are made over new ones.
func (r *runner) hangUp() {
	r.feed.stop()
	r.feed, r.client = nil, nil
	_ = r.store.Close() // an error of what is dropped anyway
	if r.session.mirror != nil {
		r.checkAt = time.Now()
	}
}
