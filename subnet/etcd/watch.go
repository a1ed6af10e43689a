package etcd

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/podlane/podlane/subnet/machine"
)

// feed is a running watch. It ends when it is stopped, when etcd ends it, or when too many responses wait to be received. Then
// its channel is closed.
type feed struct {
	responses chan clientv3.WatchResponse
	waiting   atomic.Int64 // bytes in responses
	cancel    context.CancelFunc
}

// A watch ends if more than this waits to be received: a new list takes less memory.
const (
	maxResponses = 1000           // responses
	maxWaiting   = 4 * maxMessage // bytes
)

// size returns about how many bytes a response takes.
func size(resp clientv3.WatchResponse) (bytes int64) {
	for _, e := range resp.Events {
		bytes += int64(len(e.Kv.Key) + len(e.Kv.Value))
	}
	return bytes
}

// watch starts a watch of everything under PREFIX/ from a revision, and regularly asks for its progress. It brings again what
// was written at the revision itself. If it began at the next revision, that would be in the future: etcd would not answer
// until something is written (etcd pull request 20229). The goroutines are needed because the client's Watch and
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
			if !f.enqueue(resp) {
				cancel()
				for range events { // until the client has seen it
				}
			}
		}
	}()
	return f
}

// enqueue stores a response until it is received, and reports whether there was room. It never waits: meanwhile the client
// would store responses without a limit.
func (f *feed) enqueue(resp clientv3.WatchResponse) (room bool) {
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

// askProgress regularly asks the watch for its progress, until ctx ends. It ignores errors: then the watch is silent, and
// watchHealth finds that.
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

// stop ends the watch and waits for its end. A nil feed is no watch.
func (f *feed) stop() {
	if f == nil {
		return
	}
	f.cancel()
	for range f.responses {
	}
}

// source returns the channel to read from. Without a watch it is nil, which never delivers.
func (f *feed) source() <-chan clientv3.WatchResponse {
	if f == nil {
		return nil
	}
	return f.responses
}

// events converts the events of a response.
func (s *Store) events(resp clientv3.WatchResponse) (events []machine.Event) {
	for _, e := range resp.Events {
		events = append(events, machine.Event{KV: s.keyValue(e.Kv), Deleted: e.Type == clientv3.EventTypeDelete})
	}
	return events
}

// keyValue returns a key for the machine.
func (s *Store) keyValue(kv *mvccpb.KeyValue) machine.KV {
	return machine.KV{
		Name:  strings.TrimPrefix(string(kv.Key), s.prefix+"/"),
		Value: kv.Value, Created: kv.CreateRevision, Modified: kv.ModRevision, TTLID: kv.Lease,
	}
}

// keyValues returns keys for the machine.
func (s *Store) keyValues(kvs []*mvccpb.KeyValue) (keys []machine.KV) {
	for _, kv := range kvs {
		keys = append(keys, s.keyValue(kv))
	}
	return keys
}
