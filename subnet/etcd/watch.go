package etcd

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// feed is a running watch. It ends when it is stopped, when etcd ends it, or when more has come than is worth keeping
// until it is asked for; then its channel is closed.
type feed struct {
	responses chan clientv3.WatchResponse
	waiting   atomic.Int64 // bytes in responses
	cancel    context.CancelFunc
}

// A watch that is this far ahead ends: to list everything again takes less memory.
const (
	maxResponses = 1000
	maxWaiting   = 4 * maxMessage
)

// size is about how many bytes a response takes.
func size(resp clientv3.WatchResponse) (bytes int64) {
	for _, e := range resp.Events {
		bytes += int64(len(e.Kv.Key) + len(e.Kv.Value))
	}
	return bytes
}

// watch follows everything under PREFIX/ from a revision, and asks for its progress from time to time. What was written
// at the revision itself is brought once more: a watch from after it is of a future revision, and gets no answer as long
// as nothing is written (etcd pull request 20229). The goroutines are needed because the client's Watch and
// RequestProgress themselves wait for etcd; stop awaits them.
func (s *Store) watch(ctx context.Context, client *clientv3.Client, revision int64, askEvery time.Duration) *feed {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	f := &feed{responses: make(chan clientv3.WatchResponse, maxResponses), cancel: cancel}
	asker := make(chan struct{})
	go func() {
		defer close(asker)
		askProgress(ctx, client, askEvery)
	}()
	go func() {
		defer close(f.responses)
		defer func() { <-asker }()
		defer cancel()
		events := client.Watch(ctx, s.prefix+"/", clientv3.WithPrefix(), clientv3.WithRev(revision), clientv3.WithCreatedNotify())
		for resp := range events {
			if !f.take(resp) {
				cancel()
				for range events { // until the client has seen it
				}
			}
		}
	}()
	return f
}

// take keeps a response until it is asked for. It never waits: the client itself would keep what comes without a bound.
func (f *feed) take(resp clientv3.WatchResponse) (room bool) {
	if f.waiting.Add(size(resp)) > maxWaiting {
		return false
	}
	select {
	case f.responses <- resp:
		return true
	default:
		return false
	}
}

// askProgress asks as long as the watch lasts. Where etcd cannot be asked, its silence tells.
func askProgress(ctx context.Context, client *clientv3.Client, every time.Duration) {
	for {
		timer := time.NewTimer(jitter(every))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
			_ = client.RequestProgress(ctx)
		}
	}
}

// stop ends the watch and waits for its end. A nil feed is none.
func (f *feed) stop() {
	if f == nil {
		return
	}
	f.cancel()
	for range f.responses {
	}
}

// source is the channel to read from; nil, which never delivers, where there is no watch.
func (f *feed) source() <-chan clientv3.WatchResponse {
	if f == nil {
		return nil
	}
	return f.responses
}

// absorb takes a response into the mirror. The mirror is complete up to its last event: etcd never splits a revision
// over two responses, but the header may be ahead of the events while a watch catches up, and so may be the answer to a
// request for progress (etcd before 3.4.25 and 3.5.8).
func (m *mirror) absorb(prefix string, resp clientv3.WatchResponse) {
	for _, e := range resp.Events {
		name := strings.TrimPrefix(string(e.Kv.Key), prefix+"/")
		if e.Type == clientv3.EventTypeDelete {
			m.remove(name, e.Kv.ModRevision)
		} else {
			m.put(name, e.Kv)
		}
		m.reach(e.Kv.ModRevision)
	}
}

// drain takes what the watch has ready, so that a burst of events is one change.
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

// receive takes in a response of the watch. A watch that has ended, because etcd compacted what it was to resume from
// or for any other reason, is a reason to list again.
func (r *runner) receive(resp clientv3.WatchResponse, more bool) {
	if !more || resp.Err() != nil {
		r.unfollow()
		r.hearing.good, r.dirty = false, true
		r.relist()
		return
	}
	r.feed.waiting.Add(-size(resp))
	now, mute := time.Now(), r.hearing.mute()
	r.seen = now
	if r.hearing.heard(resp, now) {
		r.dirty = true
	}
	if mute && !r.hearing.mute() { // it answers after all: the next one is asked more often
		r.unfollow()
	}
	complete := r.session.mirror.revision
	resp.Events = slices.DeleteFunc(resp.Events, func(e *clientv3.Event) bool { return e.Kv.ModRevision <= complete })
	if len(resp.Events) == 0 {
		r.progress(resp.Header.Revision)
		return
	}
	config, deleted := r.session.mirror.config.revision, r.session.mirror.deleted.revision
	r.session.absorb(r.store.prefix, resp, now, r.opts.Grace)
	r.session.seen = max(r.session.seen, r.session.mirror.revision)
	if m := r.session.mirror; m.config.revision != config || m.deleted.revision != deleted {
		r.session.readConfig()
	}
	r.answered()
}

// progress takes in the revision that etcd says it is at. One before what we have seen is of a member that lags behind,
// or of an etcd that has lost data; newer ones are silent then.
func (r *runner) progress(revision int64) {
	if revision < r.session.mirror.revision {
		r.checkAt = time.Now()
	}
	r.session.seen = max(r.session.seen, revision)
}
