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
	// lookEvery is how often the overlay is looked at.
	lookEvery = 2 * time.Second
	// patience is how long podlaned is given to come up before the Node is said to have no network.
	patience = 15 * time.Second
	// maxPause is between two attempts to write what the API server does not take.
	maxPause = time.Minute
)

// companion keeps one Node's condition equal to what podlaned says.
type companion struct {
	config   config
	nodes    v1.NodeInterface
	problems *problems.Log
	log      logrus.FieldLogger
	started  time.Time

	podCIDR  string // what was last explained in the log
	failures int    // in a row, of writing the condition
	retryAt  time.Time
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
	log.Infof("podlane-kube %s watches the Node %s", version, c.nodeName)
	n := &companion{config: c, nodes: client.Nodes(), problems: problems.New(log), log: log, started: time.Now()}
	return n.run(ctx)
}

func (n *companion) run(ctx context.Context) error {
	informer := follow(n.nodes, fields.OneTermEqualSelector("metadata.name", n.config.nodeName).String(), &corev1.Node{}, n.problems)
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
		for changed.wait(ctx, lookEvery) {
			if node, ok := n.find(informer.GetStore()); ok {
				n.pass(ctx, node, time.Now())
			}
		}
		return nil
	})
	return g.Wait()
}

// find is this Node as it was last seen.
func (n *companion) find(store cache.Store) (*corev1.Node, bool) {
	object, found, err := store.GetByKey(n.config.nodeName)
	if err != nil || !found {
		return nil, false
	}
	node, ok := object.(*corev1.Node)
	return node, ok
}

// pass makes the Node's condition what it should be. The condition of before stands while podlaned may still come up.
func (n *companion) pass(ctx context.Context, node *corev1.Node, now time.Time) {
	o := lookAtOverlay(ctx, n.config.runDir)
	if o.subnet.IsZero() && now.Sub(n.started) < patience {
		return
	}
	n.explain(o, node.Spec.PodCIDRs)
	c, needed := needed(node.Status.Conditions, condition(o, node.Spec.PodCIDRs), now)
	if !needed || now.Before(n.retryAt) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := n.nodes.PatchStatus(ctx, node.Name, patch(c))
	if !n.problems.Check("Node condition", err) {
		n.retryAt, n.failures = now.Add(pause(n.failures)), n.failures+1
		return
	}
	n.retryAt, n.failures = now.Add(time.Second), 0 // the watch has to bring it first
	n.log.Infof("the Node's condition %s is %s: %s", c.Type, c.Status, c.Message)
}

// explain says once that the Node has a podCIDR that is not used.
func (n *companion) explain(o overlay, podCIDRs []string) {
	if o.subnet.IsZero() {
		return
	}
	why := unusedPodCIDR(o.subnet, podCIDRs)
	if why != "" && why != n.podCIDR {
		n.log.Warn(why)
	}
	n.podCIDR = why
}

// pause is how long to wait after so many failures in a row.
func pause(failures int) time.Duration { return min(maxPause, time.Second<<min(failures, 10)) }
