package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podlane/podlane/pause"
	"github.com/podlane/podlane/problems"
	"github.com/podlane/podlane/status"
	"github.com/podlane/podlane/subnet"
)

const (
	// kubeProxyEvery is the time between two reads of kube-proxy's configuration, and faultyProxyEvery while it does not match.
	kubeProxyEvery   = time.Minute
	faultyProxyEvery = 20 * time.Second
	// rewriteEvery is the least time between two writes of the condition PodNetworkProblem if only its message differs. Some
	// messages contain a duration.
	rewriteEvery = time.Minute
)

// reporter reports the faults of this node, in the Node's condition PodNetworkProblem and in Events of the Node. It has its own
// client and goroutine, so that nothing waits for it.
type reporter struct {
	config    config
	nodes     nodeClient
	events    eventQueue
	configMap func(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error)
	problems  *problems.Log // of podlane-kube
	log       logrus.FieldLogger

	episodes  episodes
	serial    int         // of the last Event
	reported  []nodeFault // in the last written condition
	writtenAt time.Time   // when the condition was last written
	outage    outage
	backoff   // of the condition

	kubeProxy   string    // the fault of kube-proxy's configuration
	kubeProxyAt time.Time // when to read it again
}

func newReporter(c config, api *client, p *problems.Log, log logrus.FieldLogger) *reporter {
	return &reporter{config: c, nodes: api.nodes(), events: eventQueue{client: api.events()}, configMap: api.configMap, problems: p, log: log}
}

// run reports until ctx ends. node returns this Node, if it was received already.
func (r *reporter) run(ctx context.Context, node func() (*corev1.Node, bool)) error {
	for pause.For(ctx, readEvery) {
		if n, ok := node(); ok {
			r.reconcile(ctx, n, time.Now())
		}
	}
	return nil
}

// reconcile makes the condition and the Events match the current faults.
func (r *reporter) reconcile(ctx context.Context, node *corev1.Node, now time.Time) {
	if r.outage.over(r.problems) {
		r.retryAt, r.events.retryAt = now, now
	}
	faults := r.faults(ctx, now)
	active, changes, decided := r.episodes.next(faults, now)
	for _, c := range changes {
		r.serial++
		r.events.add(newEvent(node.Name, node.UID, c, now, r.serial%256))
	}
	r.problems.Check("Events", unlessKnown(r.problems, r.events.send(ctx, now)))
	if active = r.withoutUnwritten(active, faults); decided || len(active) > 0 {
		r.write(ctx, node, active, now)
	}
}

// withoutUnwritten removes the faults that are absent now, and that the condition never had. An outage of the API server is such a
// fault: when the condition can be written, it is over. A thousand nodes would write it at once, and remove it 10 s later.
func (r *reporter) withoutUnwritten(active, faults []nodeFault) []nodeFault {
	return slices.DeleteFunc(active, func(f nodeFault) bool { return !hasKind(faults, f) && !hasKind(r.reported, f) })
}

// faults returns the current faults of podlaned and of podlane-kube.
func (r *reporter) faults(ctx context.Context, now time.Time) []nodeFault {
	own := r.own()
	podlaned, err := status.AskProblems(ctx, filepath.Join(r.config.runDir, status.Socket))
	if err != nil {
		own = append([]string{"podlaned: it does not answer: " + err.Error()}, own...)
	}
	if fault := r.kubeProxyFault(ctx, now); fault != "" {
		own = append(own, "kube-proxy: "+fault)
	}
	return faultsOf(podlaned, own)
}

// own returns the problems of podlane-kube. Two watches report an outage of the API server. One is enough.
func (r *reporter) own() []string {
	list := r.problems.List()
	if r.problems.Get(watchingNodes) == "" {
		return list
	}
	return slices.DeleteFunc(list, func(report string) bool { return strings.HasPrefix(report, apiServer+": ") })
}

// kubeProxyFault returns why kube-proxy's configuration does not match the pod network, or nothing. It reads the configuration when
// that is due. A cluster without this ConfigMap has no kube-proxy, or not kubeadm's. A failed read changes nothing: other calls
// report an API server that does not answer.
func (r *reporter) kubeProxyFault(ctx context.Context, now time.Time) string {
	file, err := subnet.ReadNodeFile(filepath.Join(r.config.runDir, nodeFile))
	if err != nil || now.Before(r.kubeProxyAt) {
		return r.kubeProxy
	}
	r.kubeProxyAt = now.Add(kubeProxyEvery)
	if r.kubeProxy = r.readKubeProxy(ctx, file.Network, now); r.kubeProxy != "" {
		r.kubeProxyAt = now.Add(faultyProxyEvery)
	}
	return r.kubeProxy
}

// readKubeProxy reads kube-proxy's configuration. It returns why that does not match the pod network, or nothing.
func (r *reporter) readKubeProxy(ctx context.Context, network subnet.Pair, now time.Time) string {
	m, err := r.configMap(ctx, kubeProxyNamespace, kubeProxyName)
	switch {
	case apierrors.IsNotFound(err):
		return ""
	case apierrors.IsForbidden(err):
		return describe(fmt.Sprintf("read the ConfigMap %s/%s", kubeProxyNamespace, kubeProxyName), err, now).Error()
	case err != nil:
		return r.kubeProxy
	}
	cluster, err := clusterCIDRs(m.Data[kubeProxyKey])
	if err != nil {
		return err.Error()
	}
	return clusterCIDRFault(cluster, network)
}

// write writes the condition PodNetworkProblem if it differs.
func (r *reporter) write(ctx context.Context, node *corev1.Node, active []nodeFault, now time.Time) {
	const kind = nodeCondition + " " + string(podNetworkProblem)
	want := problemCondition(active)
	c, changed := withTimes(node.Status.Conditions, want, now)
	if !changed {
		r.problems.Set(kind, "") // a write failed, and the condition is correct again without it
		return
	}
	if now.Before(r.retryAt) || sameKinds(active, r.reported) && sameReason(node.Status.Conditions, want) && now.Before(r.writtenAt.Add(rewriteEvery)) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := r.nodes.Patch(ctx, node.Name, types.StrategicMergePatchType, patch(c), metav1.PatchOptions{}, "status")
	r.problems.Check(kind, unlessKnown(r.problems, describe("write the condition", err, now)))
	if err != nil {
		r.failed(now)
		return
	}
	r.succeeded(now)
	if !sameKinds(active, r.reported) || r.writtenAt.IsZero() {
		r.log.Infof("the Node's condition %s is %s: %s", c.Type, c.Status, c.Message)
	}
	r.reported, r.writtenAt = active, now
}

// sameReason reports whether a condition exists with the same status and reason. Its message may differ.
func sameReason(have []corev1.NodeCondition, want corev1.NodeCondition) bool {
	for _, c := range have {
		if c.Type == want.Type {
			return c.Status == want.Status && c.Reason == want.Reason
		}
	}
	return false
}
