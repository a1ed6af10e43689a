package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/podlane/podlane/problems"
)

// callTimeout bounds one call to the API server.
const callTimeout = 10 * time.Second

// apiServer is the kind of the problems with the API server.
const apiServer = "API server"

// apiConfig returns how to reach the API server: with a kubeconfig, or without one as the pod's service account.
func apiConfig(kubeconfig string) (*rest.Config, error) {
	c, err := rest.InClusterConfig()
	if errors.Is(err, rest.ErrNotInCluster) {
		err = errors.New("podlane-kube does not run in a pod; give it --kubeconfig")
	}
	if kubeconfig != "" {
		c, err = clientcmd.BuildConfigFromFlags("", kubeconfig)
	}
	if err != nil {
		return nil, fmt.Errorf("find the API server: %w", err)
	}
	c.UserAgent = "podlane-kube/" + version
	return c, nil
}

// lister is the common part of typed clients and of metadata clients.
type lister[L runtime.Object] interface {
	List(ctx context.Context, opts metav1.ListOptions) (L, error)
	Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error)
}

// newInformer returns an informer of the objects that match a field selector. The informer retries by itself, at least every
// 30 s. It sets its errors as problems.
func newInformer[L runtime.Object](nodes lister[L], selector string, object runtime.Object, p *problems.Log) cache.SharedIndexInformer {
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
			opts.FieldSelector = selector
			list, err := nodes.List(ctx, opts)
			p.Check(apiServer, err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			opts.FieldSelector = selector
			w, err := nodes.Watch(ctx, opts)
			if opts.SendInitialEvents == nil || !cannotStream(err) { // the informer lists the objects instead
				p.Check(apiServer, err)
			}
			return w, err
		},
	}
	return cache.NewSharedIndexInformer(cache.ToListWatcherWithWatchListSemantics(lw, nodes), object, 0, nil)
}

// kicks is a signal without data. Several kicks before a wait are one.
type kicks chan struct{}

func newKicks() kicks { return make(kicks, 1) }

func (k kicks) kick() {
	select {
	case k <- struct{}{}:
	default:
	}
}

// wait waits for a kick, for a time at most. It reports whether ctx is still alive.
func (k kicks) wait(ctx context.Context, most time.Duration) bool {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-k:
	case <-timer.C:
	}
	return ctx.Err() == nil
}
