package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/podlane/podlane/problems"
)

const (
	// readEvery is the time between two reads of the overlay's state.
	readEvery = 2 * time.Second
	// startTime is the time for podlaned to start. Until then, the condition does not change.
	startTime = 15 * time.Second
	// nodeCondition is the kind of the problems with writing a condition.
	nodeCondition = "Node condition"
)

// nodeClient is the part of a client of Nodes that podlane-kube uses.
type nodeClient interface {
	lister[*corev1.NodeList]
	Patch(ctx context.Context, name string, kind types.PatchType, data []byte, opts metav1.PatchOptions, subresources ...string) (*corev1.Node, error)
}

// conditionWriter keeps the condition of one Node correct.
type conditionWriter struct {
	config   config
	nodes    nodeClient
	problems *problems.Log
	log      logrus.FieldLogger
	started  time.Time
	report   func(ctx context.Context, node func() (*corev1.Node, bool)) error // reports the faults; runs on its own goroutine

	outage  outage
	podCIDR string // the last warning about a podCIDR
	backoff
}

// runNode runs until ctx ends.
func runNode(ctx context.Context, c config, log *logrus.Logger) error {
	if err := tune(); err != nil {
		return err
	}
	rest, err := apiConfig(c.kubeconfig)
	if err != nil {
		return err
	}
	client, err := newClient(rest)
	if err != nil {
		return err
	}
	forReports, err := newClient(rest) // it has a rate limit of its own
	if err != nil {
		return err
	}
	log.Infof("podlane-kube %s starts for the Node %s", version, c.nodeName)
	p := problems.New(log)
	r := newReporter(c, forReports, p, log)
	n := &conditionWriter{config: c, nodes: client.nodes(), problems: p, log: log, started: time.Now(), report: r.run}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return n.run(ctx) })
	if c.store == storeKubernetes {
		f, err := newFeeder(c, client, n.problems, log)
		if err != nil {
			return err
		}
		g.Go(func() error { return f.run(ctx) })
	}
	return g.Wait()
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
	if n.report != nil {
		g.Go(func() error {
			return n.report(ctx, func() (*corev1.Node, bool) { return n.find(informer.GetStore()) })
		})
	}
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
	podCIDRs := node.Spec.PodCIDRs
	if n.config.store == storeKubernetes {
		podCIDRs = nil // they are needed, also if one of two families is off; podlaned reports one that it cannot use
	}
	n.warnPodCIDR(o, podCIDRs)
	c, changed := withTimes(node.Status.Conditions, condition(o, podCIDRs), now)
	if !changed {
		n.problems.Set(nodeCondition, "") // a write failed, and its condition is correct again without it
		return
	}
	if n.outage.over(n.problems) {
		n.retryAt = now
	}
	if now.Before(n.retryAt) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := n.nodes.Patch(ctx, node.Name, types.StrategicMergePatchType, patch(c), metav1.PatchOptions{}, "status")
	n.problems.Check(nodeCondition, unlessKnown(n.problems, err))
	if err != nil {
		n.failed(now)
		return
	}
	n.succeeded(now)
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
