package main

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// list replaces the whole cache.
//
// If the API server can stream a list (Kubernetes 1.32, and 1.34 or later), each Node is reduced to a member at once. The
// stream begins with what a quorum read returns. It continues as a watch, which list returns.
//
// Otherwise list gets the Nodes from the API server's cache. If that is older than what was seen, list makes a quorum read.
func (f *follower) list(ctx context.Context) (watch.Interface, error) {
	w, err := f.stream(ctx)
	if !cannotStream(err) {
		return w, describe("list the Nodes", err, time.Now())
	}
	set, revision, err := f.listPages(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err == nil && !f.cache.replace(set, revision, 0) {
		target := f.cache.state().target
		set, revision, err = f.listPages(ctx, metav1.ListOptions{})
		if err == nil && !f.cache.replace(set, revision, target) {
			err = errResync
		}
	}
	return nil, describe("list the Nodes", err, time.Now())
}

// errIncomplete means that a server did not send the mark at the end of a streamed list.
var errIncomplete = errors.New("the streamed list is incomplete: its end mark is missing")

// cannotStream reports whether an API server cannot stream a list. Its version is too old, its feature WatchList is off, or its
// cache is too far behind etcd.
func cannotStream(err error) bool {
	return errors.Is(err, errIncomplete) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || isTooLarge(err)
}

// stream fills the cache from a streamed list. It returns the watch that follows it.
func (f *follower) stream(ctx context.Context) (watch.Interface, error) {
	initial, target := true, f.cache.state().target
	w, err := f.open(ctx, metav1.ListOptions{SendInitialEvents: &initial, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan})
	if err != nil {
		return nil, err
	}
	set, revision, err := f.receiveList(ctx, w)
	if err == nil && !f.cache.replace(set, revision, target) {
		err = errResync
	}
	if err != nil {
		w.Stop()
		return nil, err
	}
	return w, nil
}

// receiveList receives a streamed list up to the mark at its end.
func (f *follower) receiveList(ctx context.Context, w watch.Interface) (set nodeSet, revision int64, err error) {
	set = f.cache.empty()
	silence := time.NewTimer(f.silence)
	defer silence.Stop()
	for {
		select {
		case <-ctx.Done():
			return set, 0, ctx.Err()
		case <-silence.C:
			return set, 0, errIncomplete
		case event, ok := <-w.ResultChan():
			if !ok {
				return set, 0, errIncomplete
			}
			if event.Type == watch.Error {
				return set, 0, apierrors.FromObject(event.Object)
			}
			silence.Reset(f.silence)
			n, ok := event.Object.(*corev1.Node)
			switch {
			case !ok:
			case event.Type == watch.Added || event.Type == watch.Modified:
				set.put(n)
			case event.Type == watch.Deleted:
				set.remove(n.Name)
			case event.Type == watch.Bookmark && n.Annotations[metav1.InitialEventsAnnotationKey] == "true":
				return set, parseRevision(n.ResourceVersion), nil
			}
		}
	}
}

// listPages lists the Nodes in pages. An API server that answers from its cache sends one page.
func (f *follower) listPages(ctx context.Context, opts metav1.ListOptions) (set nodeSet, revision int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	set = f.cache.empty()
	opts.Limit = pageSize
	for {
		page, err := f.listNodes(ctx, opts, func(n *corev1.Node) { set.put(n) })
		if err != nil {
			return set, 0, err
		}
		if page.Continue == "" {
			return set, parseRevision(page.ResourceVersion), nil
		}
		opts.ResourceVersion, opts.Continue = "", page.Continue
	}
}
