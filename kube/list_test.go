package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
)

// streamOf answers each watch with events, and then with silence or the end of the stream.
type streamOf struct {
	nodeClient
	err    error
	events []watch.Event
	end    bool
	opened func() // called with each watch; may be nil
}

func (s streamOf) Watch(context.Context, metav1.ListOptions) (watch.Interface, error) {
	if s.err != nil {
		return nil, s.err
	}
	if s.opened != nil {
		s.opened()
	}
	w := watch.NewFakeWithChanSize(len(s.events), false)
	for _, e := range s.events {
		w.Action(e.Type, e.Object)
	}
	if s.end {
		w.Stop()
	}
	return w, nil
}

// A streamed list is used only if it is complete. Otherwise the Nodes are listed.
func TestIncompleteStreamedList(t *testing.T) {
	added := watch.Event{Type: watch.Added, Object: clusterNode("n1", "10.244.1.0/24")}
	mark := watch.Event{Type: watch.Bookmark, Object: &corev1.Node{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "9", Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"}}}}
	bookmark := watch.Event{Type: watch.Bookmark, Object: &corev1.Node{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "9"}}}
	failure := watch.Event{Type: watch.Error, Object: &metav1.Status{Status: metav1.StatusFailure, Code: 500, Reason: metav1.StatusReasonInternalError, Message: "no leader"}}
	nodes := schema.GroupResource{Resource: "nodes"}
	for name, c := range map[string]struct {
		stream streamOf
		want   string // names of the Nodes
		err    string
	}{
		"complete":                          {streamOf{events: []watch.Event{added, mark}}, "n1", ""},
		"a bookmark is not the end":         {streamOf{events: []watch.Event{added, bookmark}}, "listed", ""},
		"a server that knows no such lists": {streamOf{events: []watch.Event{added}}, "listed", ""},
		"the connection ends":               {streamOf{events: []watch.Event{added}, end: true}, "listed", ""},
		"the feature is off":                {streamOf{err: apierrors.NewInvalid(schema.GroupKind{Kind: "ListOptions"}, "", nil)}, "listed", ""},
		"an old server":                     {streamOf{err: apierrors.NewBadRequest("unknown parameter")}, "listed", ""},
		"no rights":                         {streamOf{err: apierrors.NewForbidden(nodes, "", errors.New("no"))}, "", "no right"},
		"an error in the stream":            {streamOf{events: []watch.Event{added, failure}}, "", "no leader"},
	} {
		t.Run(name, func(t *testing.T) {
			f := follower{nodes: c.stream, cache: newNodeCache(testKeys(t), "n1", newKicks()), silence: 50 * time.Millisecond}
			f.listNodes = func(_ context.Context, _ metav1.ListOptions, each func(*corev1.Node)) (metav1.ListMeta, error) {
				each(clusterNode("listed", "10.244.2.0/24"))
				return metav1.ListMeta{ResourceVersion: "8"}, nil
			}
			w, err := f.list(t.Context())
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want one with %q", err, c.err)
			}
			if (w != nil) != (c.want == "n1") {
				t.Errorf("a watch follows: %v", w != nil)
			}
			set, _ := f.cache.snapshot()
			var names []string
			for name := range set.members {
				names = append(names, name)
			}
			if slices.Sort(names); strings.Join(names, " ") != c.want {
				t.Errorf("Nodes %q, want %q", names, c.want)
			}
		})
	}
}

// The hello with a newer revision arrives while the Nodes are listed. Another podlane-kube has sent that one. The list was read
// before, so it does not show a loss of data.
func TestHelloDuringAList(t *testing.T) {
	for name, err := range map[string]error{"streamed": nil, "plain": apierrors.NewBadRequest("unknown parameter")} {
		t.Run(name, func(t *testing.T) {
			f := follower{cache: newNodeCache(testKeys(t), "n1", newKicks()), silence: time.Minute}
			hello := func() { f.cache.raise(20) }
			mark := watch.Event{Type: watch.Bookmark, Object: &corev1.Node{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "9", Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"}}}}
			f.nodes = streamOf{err: err, events: []watch.Event{mark}, opened: hello}
			f.listNodes = func(_ context.Context, o metav1.ListOptions, _ func(*corev1.Node)) (metav1.ListMeta, error) {
				if o.ResourceVersion == "" {
					hello()
				}
				return metav1.ListMeta{ResourceVersion: "9"}, nil
			}
			f.cache.raise(10)
			if w, err := f.list(t.Context()); w != nil || !errors.Is(err, errResync) {
				t.Errorf("watch %v, error %v; want %v", w, err, errResync)
			}
			if got := f.cache.state(); got.losses != 0 || !got.due() {
				t.Errorf("%+v, want no loss and another list", got)
			}
			if _, err := f.list(t.Context()); err != nil || f.cache.state().losses != 1 {
				t.Errorf("error %v, %+v; want one loss: the second list was read after the hello", err, f.cache.state())
			}
		})
	}
}

func TestFollowRetryGrowsToALimit(t *testing.T) {
	for failures, most := range map[int]time.Duration{0: minFollowRetry, 1: 2 * minFollowRetry, 5: maxFollowRetry, 1000: maxFollowRetry} {
		if got := followRetry(failures); got < most/2 || got >= most {
			t.Errorf("after %d failures %v, want %v to %v", failures, got, most/2, most)
		}
	}
}
