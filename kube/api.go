package main

import (
	"context"
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

// apiServer is the kind of trouble that the API server makes.
const apiServer = "API server"

// apiConfig is how the API server is reached: as the pod's service account, or as a kubeconfig says.
func apiConfig(kubeconfig string) (*rest.Config, error) {
	c, err := rest.InClusterConfig()
	if kubeconfig != "" {
		c, err = clientcmd.BuildConfigFromFlags("", kubeconfig)
	}
	if err != nil {
		return nil, fmt.Errorf("find the API server: %w", err)
	}
	c.UserAgent = "podlane-kube/" + version
	return c, nil
}

// lister is what typed and metadata clients of a resource have in common.
type lister[L runtime.Object] interface {
	List(ctx context.Context, opts metav1.ListOptions) (L, error)
	Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error)
}

// follow makes an informer of the objects that a field selector names; the informer tries again by itself, 30 s apart at
// most. What stands in its way is said.
func follow[L runtime.Object](nodes lister[L], selector string, object runtime.Object, p *problems.Log) cache.SharedIndexInformer {
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
			p.Check(apiServer, err)
			return w, err
		},
	}
	return cache.NewSharedIndexInformer(cache.ToListWatcherWithWatchListSemantics(lw, nodes), object, 0, nil)
}

// kicks is a signal without data: whoever is kicked looks at everything. Kicks that nobody has waited for are one.
type kicks chan struct{}

func newKicks() kicks { return make(kicks, 1) }

func (k kicks) kick() {
	select {
	case k <- struct{}{}:
	default:
	}
}

// wait returns when kicked, after a time, or when ctx ends, and tells whether ctx goes on.
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
