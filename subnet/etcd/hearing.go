package etcd

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// A watch can be silent because nothing happens, or because the member of etcd that it is on has stopped, was cut off,
// or lost its data; the connection tells late or never. So the watch is asked for its progress, which etcd answers at
// once (since 3.4) with the revision that it is at. etcd's grpc-proxy, and an older etcd, never answer that, though their
// watches work. They are known by three watches in a row that began and were silent: from then on a check that finds etcd
// where the mirror is stands for the answer. Three watches that were each cut off before the first question look the same,
// so that check comes about as often as a question would, and tells as soon when etcd is gone.

const (
	askEvery   = 3500 * time.Millisecond
	deafAfter  = 6 * time.Second  // without a word
	deafAtMost = 30 * time.Second // the same, where new connections have not helped, or where questions are not answered
	checkMute  = 5 * time.Second  // how often etcd is asked at least whether it still is where we saw it, in the latter case
)

// hearing is how well the watch is heard.
type hearing struct {
	good       bool
	last       time.Time // when it began, said something, or was given up; zero: there was none yet
	deaf       int       // how often in a row it was given up
	began      bool      // it said that it began, and has answered nothing since
	unanswered int       // how many that began have been given up since the last answer
}

// heard notes a word of the watch, and tells whether that is news. Only an answer shows that silence means something:
// every watch begins.
func (h *hearing) heard(resp clientv3.WatchResponse, now time.Time) (news bool) {
	news = !h.good
	if resp.IsProgressNotify() {
		*h = hearing{}
	}
	h.good, h.last, h.deaf, h.began = true, now, 0, h.began || resp.Created
	return news
}

// mute tells whether the watch is one that answers no questions.
func (h hearing) mute() bool { return h.unanswered >= 3 }

// checked notes that etcd is where the watch has brought us.
func (h *hearing) checked(now time.Time) {
	if h.mute() {
		h.good, h.last = true, now
	}
}

// expect begins the wait for the first word of a watch.
func (h *hearing) expect(now time.Time) { h.last = now }

// giveUp notes that a watch is given up; the next one is given more time, so that an etcd that is down or overwhelmed
// does not get new connections all the time.
func (h *hearing) giveUp(now time.Time) {
	next := hearing{last: now, deaf: h.deaf + 1, unanswered: h.unanswered}
	if h.began {
		next.unanswered++
	}
	*h = next
}

// deafAt is when a watch that says nothing is to be given up.
func (h hearing) deafAt() time.Time {
	switch {
	case h.last.IsZero():
		return time.Time{}
	case h.mute():
		return h.last.Add(deafAtMost)
	}
	return h.last.Add(min(deafAfter<<min(h.deaf, 3), deafAtMost))
}

// askEvery is how often to ask. grpc-proxy logs each question that it does not know.
func (h hearing) askEvery() time.Duration {
	if h.mute() {
		return deafAtMost
	}
	return askEvery
}

// checkIn is when to ask etcd again whether it still is where we saw it.
func (r *runner) checkIn() time.Time {
	if r.hearing.mute() {
		return jittered(min(r.opts.CheckEvery, checkMute))
	}
	return jittered(r.opts.CheckEvery)
}

// follow begins a watch where the mirror ends, unless everything is to be listed anyway. It lasts until it is stopped.
func (r *runner) follow(ctx context.Context) {
	if r.feed == nil && r.listAt.IsZero() {
		r.feed = r.store.watch(context.WithoutCancel(ctx), r.client, r.session.mirror.revision, r.hearing.askEvery())
		r.hearing.expect(time.Now())
	}
}

// unfollow ends the watch, where there is one.
func (r *runner) unfollow() {
	r.feed.stop()
	r.feed = nil
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
	r.unfollow()
	r.client = nil
	_ = r.store.Close() // an error of what is dropped anyway
	if r.session.mirror != nil {
		r.checkAt = time.Now()
	}
}
