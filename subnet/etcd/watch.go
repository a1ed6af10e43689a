package etcd

import (
	"context"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// feed is a running watch. It ends when it is stopped, or when etcd ends it; then its channel is closed.
type feed struct {
	responses chan clientv3.WatchResponse
	cancel    context.CancelFunc
}

// watch follows everything under PREFIX/ from after a revision. The goroutine is needed because the client's Watch
// itself waits for etcd; stop awaits it.
func (s *Store) watch(ctx context.Context, client *clientv3.Client, revision int64) *feed {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	f := &feed{responses: make(chan clientv3.WatchResponse, 16), cancel: cancel}
	go func() {
		defer close(f.responses)
		events := client.Watch(ctx, s.prefix+"/", clientv3.WithPrefix(), clientv3.WithRev(revision+1), clientv3.WithProgressNotify())
		for resp := range events {
			select {
			case f.responses <- resp:
			case <-ctx.Done():
			}
		}
	}()
	return f
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
// over two responses, but the header may be ahead of the events while a watch catches up.
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
	if resp.IsProgressNotify() {
		m.reach(resp.Header.Revision)
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
		r.feed.stop()
		r.feed = nil
		r.relist()
		return
	}
	config := r.session.mirror.config.revision
	r.session.absorb(r.store.prefix, resp, time.Now(), r.opts.Grace)
	r.session.seen = max(r.session.seen, r.session.mirror.revision)
	if r.session.mirror.config.revision != config {
		r.session.readConfig()
	}
	r.answered()
}
