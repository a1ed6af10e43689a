package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/podlane/podlane/pause"
)

const (
	// minWatch is the minimum duration of a watch, which is then opened again. The maximum is twice that.
	minWatch = 5 * time.Minute
	// streamSilence is the longest silence in a streamed list. A server that does not know streamed lists never ends one.
	streamSilence = 10 * time.Second
	// watchSilence is the longest silence of a watch, which is then opened again. An API server sends a bookmark every minute. One
	// that hangs, or a proxy in front of it, can keep the connection open.
	watchSilence = 2 * time.Minute
	// minFollowRetry and maxFollowRetry bound the time to the next attempt. A part of it is random, so that the nodes of a
	// cluster do not all ask at once.
	minFollowRetry = 500 * time.Millisecond
	maxFollowRetry = 5 * time.Second
	// pageSize is the number of Nodes in one answer to a quorum read. It bounds the memory of the API server.
	pageSize = 500
	// listTimeout bounds a whole list.
	listTimeout = time.Minute
)

// follower keeps a nodeCache up to date: it lists the Nodes, and watches them from there. client-go's informers do the same.
// But they do not confirm a list that is older than what podlaned has seen. They also hold a whole list in memory.
type follower struct {
	nodes     nodeClient
	listNodes func(context.Context, metav1.ListOptions, func(*corev1.Node)) (metav1.ListMeta, error) // calls the function for each Node
	cache     *nodeCache
	resync    kicks       // the cache's target was raised
	report    func(error) // is called with the current error; nil: the cache is up to date

	silence      time.Duration // streamSilence, or less in a test
	watchSilence time.Duration // watchSilence, or less in a test
	expired      bool          // the watch cannot continue at the cache's revision
}

// errResync ends a watch or a list, so that the Nodes are listed again.
var errResync = errors.New("the Nodes must be listed again")

// run runs until ctx ends.
func (f *follower) run(ctx context.Context) {
	for failures := 0; ; failures++ {
		began := time.Now()
		watched, err := f.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if watched && time.Since(began) > time.Second || errors.Is(err, errResync) {
			failures = -1
			continue // at once: the next call shows whether the API server answers
		}
		if err != nil && (!watched || failures > 1) {
			f.report(err)
		}
		pause.For(ctx, followRetry(failures))
	}
}

// followRetry returns the time to the next attempt after several failures.
func followRetry(failures int) time.Duration {
	most := min(maxFollowRetry, minFollowRetry<<min(failures, 10))
	return most/2 + rand.N(most/2) //nolint:gosec // it spreads load, and is no secret
}

// follow brings the cache up to date and watches until the watch ends. watched reports whether there was a watch.
func (f *follower) follow(ctx context.Context) (watched bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var w watch.Interface
	known := f.cache.state()
	if !known.due() && !f.expired {
		// A watch from a revision that etcd has lost would be silent.
		revision, err := f.etcdRevision(ctx)
		if err != nil {
			return false, err
		}
		f.expired = revision < known.current
	}
	if known.due() || f.expired {
		if w, err = f.list(ctx); err != nil {
			return false, err
		}
		f.expired = false
	}
	if w == nil {
		if w, err = f.open(ctx, metav1.ListOptions{ResourceVersion: fmt.Sprint(f.cache.state().current)}); err != nil {
			f.expired = isExpired(err)
			return false, describe("watch the Nodes", err, time.Now())
		}
	}
	defer w.Stop()
	f.report(nil)
	return true, f.receive(ctx, w)
}

// etcdRevision returns the current revision of the API server's etcd, by a quorum read of one Node.
func (f *follower) etcdRevision(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	list, err := f.nodes.List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return 0, describe("list the Nodes", err, time.Now())
	}
	return parseRevision(list.ResourceVersion), nil
}

// open opens a watch, which ends after 5 to 10 minutes.
func (f *follower) open(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	seconds := int64((minWatch + rand.N(minWatch)).Seconds()) //nolint:gosec // it spreads load, and is no secret
	opts.TimeoutSeconds, opts.AllowWatchBookmarks = &seconds, true
	ctx, cancel := context.WithCancel(ctx)
	late := time.AfterFunc(callTimeout, cancel)
	w, err := f.nodes.Watch(ctx, opts)
	if !late.Stop() && err != nil {
		err = context.DeadlineExceeded
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return cancelingWatch{w, cancel}, nil
}

// cancelingWatch is a watch that ends its context when it is stopped.
type cancelingWatch struct {
	watch.Interface
	cancel context.CancelFunc
}

func (w cancelingWatch) Stop() {
	w.Interface.Stop()
	w.cancel()
}

// receive applies the events of a watch until it ends.
func (f *follower) receive(ctx context.Context, w watch.Interface) error {
	silence := time.NewTimer(f.watchSilence)
	defer silence.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-silence.C:
			return nil // the next call shows whether the API server answers
		case <-f.resync:
			if f.cache.state().due() {
				return errResync
			}
		case event, ok := <-w.ResultChan():
			silence.Reset(f.watchSilence)
			if !ok {
				return nil // the API server has ended it
			}
			if event.Type == watch.Error {
				err := apierrors.FromObject(event.Object)
				f.expired = isExpired(err)
				return describe("watch the Nodes", err, time.Now())
			}
			f.apply(event)
		}
	}
}

func (f *follower) apply(event watch.Event) {
	n, ok := event.Object.(*corev1.Node)
	if !ok {
		return
	}
	switch event.Type {
	case watch.Added, watch.Modified:
		f.cache.put(n)
	case watch.Deleted:
		f.cache.remove(n)
	case watch.Bookmark:
		f.cache.advance(parseRevision(n.ResourceVersion))
	case watch.Error: // receive ends the watch
	}
}

// isExpired reports whether a watch cannot continue at its revision: the API server has compacted it, or has not seen it yet.
func isExpired(err error) bool {
	return apierrors.IsResourceExpired(err) || apierrors.IsGone(err) || isTooLarge(err)
}

// isTooLarge reports whether an API server has not seen a revision yet.
func isTooLarge(err error) bool {
	return apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge)
}
