package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"

	"github.com/podlane/podlane/problems"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/etcd"
)

// compareEvery is the time between two comparisons of all leases with all Nodes.
const compareEvery = 30 * time.Second

// leases is the part of the lease store that podlane-kube uses.
type leases interface {
	Leases(ctx context.Context) (subnet.Set, error)
	Release(ctx context.Context, records []subnet.Record, answer time.Duration) ([]subnet.Record, error)
}

var _ leases = (*etcd.Store)(nil)

// releaser releases the leases of deleted nodes.
type releaser struct {
	grace     time.Duration
	nodes     metadata.ResourceInterface
	leases    leases
	problems  *problems.Log
	log       logrus.FieldLogger
	deadlines deadlines
}

// runRelease runs until ctx ends.
func runRelease(ctx context.Context, c config, log *logrus.Logger) error {
	rest, err := apiConfig(c.kubeconfig)
	if err != nil {
		return err
	}
	client, err := metadata.NewForConfig(rest)
	if err != nil {
		return fmt.Errorf("make a client of the API server: %w", err)
	}
	store, err := c.etcd.Open(nil)
	if err != nil {
		return err
	}
	defer store.Close()
	log.Infof("podlane-kube %s starts: it releases the leases of deleted nodes, and after %s those whose Node did not exist at the start", version, c.grace)
	r := &releaser{grace: c.grace, nodes: nodesOf(client), leases: store, problems: problems.New(log), log: log}
	return r.run(ctx)
}

// nodesOf returns a client of the cluster's Nodes. Their metadata is enough.
func nodesOf(client metadata.Interface) metadata.ResourceInterface {
	return client.Resource(corev1.SchemeGroupVersion.WithResource("nodes"))
}

func (r *releaser) run(ctx context.Context) error {
	informer := newInformer(r.nodes, "", &metav1.PartialObjectMetadata{}, r.problems)
	changed := newKicks()
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{DeleteFunc: func(any) { changed.kick() }}); err != nil {
		return fmt.Errorf("watch the Nodes: %w", err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.problems.Run(ctx) })
	g.Go(func() error {
		informer.RunWithContext(ctx)
		return nil
	})
	g.Go(func() error {
		if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			return nil // ctx has ended
		}
		for ctx.Err() == nil {
			r.compare(ctx, namesOf(informer.GetStore()), time.Now())
			changed.wait(ctx, compareEvery)
		}
		return nil
	})
	return g.Wait()
}

func namesOf(store cache.Store) map[string]bool {
	names := map[string]bool{}
	for _, name := range store.ListKeys() {
		names[name] = true
	}
	return names
}

// compare compares all leases with all Nodes, and releases those that are due.
func (r *releaser) compare(ctx context.Context, nodes map[string]bool, now time.Time) {
	set, err := r.leases.Leases(ctx)
	if !r.problems.Check("etcd", err) {
		return
	}
	var due []subnet.Record
	r.deadlines, due = r.deadlines.next(nodes, set, r.grace, now)
	if due = r.confirm(ctx, due); len(due) == 0 {
		return
	}
	released, err := r.leases.Release(ctx, due, 0)
	if errors.Is(err, context.Canceled) {
		return
	}
	r.problems.Check("etcd", err)
	for _, lease := range released {
		r.log.Infof("released the lease %s: its Node was deleted", lease.Lease)
	}
}

// confirm returns the leases whose Node does not exist. It asks the API server about each, because the watch may be late.
// Only the API server's own answer counts: for the client, the 404 of a proxy is also "not found".
func (r *releaser) confirm(ctx context.Context, due []subnet.Record) (gone []subnet.Record) {
	for _, lease := range due {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		_, err := r.nodes.Get(call, lease.Node.Name, metav1.GetOptions{})
		cancel()
		if apierrors.IsNotFound(err) && !apierrors.IsUnexpectedServerError(err) {
			gone, err = append(gone, lease), nil
		}
		r.problems.Check(apiServer, err)
	}
	return gone
}
