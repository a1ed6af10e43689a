package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	v1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/podlane/podlane/problems"
)

const (
	// readEvery is the time between two reads of the overlay's state.
	readEvery = 2 * time.Second
	// startTime is the time for podlaned to start. Until then, the condition does not change.
	startTime = 15 * time.Second
	// maxRetry bounds the time to the next attempt if the API server refuses a condition.
	maxRetry = time.Minute
)

// conditionWriter keeps the condition of one Node correct.
type conditionWriter struct {
	config   config
	nodes    v1.NodeInterface
	problems *problems.Log
	log      logrus.FieldLogger
	started  time.Time

	podCIDR  string    // the last warning about a podCIDR
	failures int       // failed writes in a row
	retryAt  time.Time // when the condition may be written again
}

// runNode runs until ctx ends.
func runNode(ctx context.Context, c config, log *logrus.Logger) error {
	rest, err := apiConfig(c.kubeconfig)
	if err != nil {
		return err
	}
	client, err := v1.NewForConfig(rest)
	if err != nil {
		return fmt.Errorf("make a client of the API server: %w", err)
	}
	log.Infof("podlane-kube %s starts for the Node %s", version, c.nodeName)
	n := &conditionWriter{config: c, nodes: client.Nodes(), problems: problems.New(log), log: log, started: time.Now()}
	return n.run(ctx)
}

func (n *conditionWriter) run(ctx context.Context) error {
	informer := newInformer(n.nodes, fields.OneTermEqualSelector("metadata.name", n.config.nodeName).String(), &corev1.Node{}, n.problems)
	changed := newKicks()
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { changed.kick() },
		UpdateFunc: func(any, any) { changed.kick() },
	}); err != nil {
		return fmt.Errorf("watch the Node: %w", err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return n.problems.Run(ctx) })
	g.Go(func() error {
		informer.RunWithContext(ctx)
		return nil
	})
	g.Go(func() error {
		for changed.wait(ctx, readEvery) {
			if node, ok := n.find(informer.GetStore()); ok {
				n.reconcile(ctx, node, time.Now())
			}
		}
		return nil
	})
	return g.Wait()
}

// find returns this Node from the informer's store.
func (n *conditionWriter) find(store cache.Store) (*corev1.Node, bool) {
	object, found, err := store.GetByKey(n.config.nodeName)
	if err != nil || !found {
		return nil, false
	}
	node, ok := object.(*corev1.Node)
	return node, ok
}

// reconcile writes the Node's condition if it is wrong. It waits while podlaned may still start.
func (n *conditionWriter) reconcile(ctx context.Context, node *corev1.Node, now time.Time) {
	o := readOverlay(ctx, n.config.runDir)
	if o.subnet.IsZero() && now.Sub(n.started) < startTime {
		return
	}
	n.warnPodCIDR(o, node.Spec.PodCIDRs)
	c, changed := withTimes(node.Status.Conditions, condition(o, node.Spec.PodCIDRs), now)
	if !changed || now.Before(n.retryAt) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := n.nodes.PatchStatus(ctx, node.Name, patch(c))
	if !n.problems.Check("Node condition", err) {
		n.retryAt, n.failures = now.Add(retryDelay(n.failures)), n.failures+1
		return
	}
	n.retryAt, n.failures = now.Add(time.Second), 0 // by then the watch has delivered the new condition
	n.log.Infof("the Node's condition %s is %s: %s", c.Type, c.Status, c.Message)
}

// warnPodCIDR logs once that the Node has a podCIDR that is not used.
func (n *conditionWriter) warnPodCIDR(o overlay, podCIDRs []string) {
	if o.subnet.IsZero() {
		return
	}
	why := unusedPodCIDR(o.subnet, podCIDRs)
	if why != "" && why != n.podCIDR {
		n.log.Warn(why)
	}
	n.podCIDR = why
}

// retryDelay returns the time to the next attempt after several failures in a row.
func retryDelay(failures int) time.Duration { return min(maxRetry, time.Second<<min(failures, 10)) }
