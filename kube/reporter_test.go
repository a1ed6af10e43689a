package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podlane/podlane/problems"
	"github.com/podlane/podlane/status"
)

// reporterBed is a reporter of the Node n1, with a clock of its own, an API server and a podlaned.
type reporterBed struct {
	*reporter
	t   *testing.T
	api *fake.Clientset
	now time.Time
	log *logBuffer

	mu     sync.Mutex
	faults status.Faults // podlaned's answer
}

func newReporterBed(t *testing.T, objects ...runtime.Object) *reporterBed {
	t.Helper()
	node := nodeWith("")
	node.UID = "uid-1"
	b := &reporterBed{t: t, api: fake.NewClientset(append(objects, node)...), now: time.Unix(1e9, 0), log: &logBuffer{}}
	log, dir := newLogger(b.log), t.TempDir()
	servePodlaned(t, dir, func() status.Faults { b.mu.Lock(); defer b.mu.Unlock(); return b.faults })
	b.reporter = &reporter{
		config: config{nodeName: "n1", runDir: dir}, nodes: b.api.CoreV1().Nodes(), events: eventQueue{client: b.api.CoreV1().Events(eventNamespace)},
		configMap: func(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error) {
			return b.api.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
		},
		problems: problems.New(log), log: log,
	}
	return b
}

// report sets what podlaned answers.
func (b *reporterBed) report(problems ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults.Problems = problems
}

// pass lets a time pass. The reporter works every two seconds.
func (b *reporterBed) pass(d time.Duration) {
	b.t.Helper()
	for end := b.now.Add(d); b.now.Before(end); b.now = b.now.Add(readEvery) {
		b.reconcile(b.t.Context(), b.node(), b.now)
	}
}

func (b *reporterBed) node() *corev1.Node {
	b.t.Helper()
	node, err := b.api.CoreV1().Nodes().Get(b.t.Context(), "n1", metav1.GetOptions{})
	if err != nil {
		b.t.Fatal(err)
	}
	return node
}

// condition returns the condition PodNetworkProblem as "status reason: message".
func (b *reporterBed) condition() string {
	b.t.Helper()
	for _, c := range b.node().Status.Conditions {
		if c.Type == podNetworkProblem {
			return fmt.Sprintf("%s %s: %s", c.Status, c.Reason, c.Message)
		}
	}
	return ""
}

// described returns the Events that `kubectl describe node n1` finds, each as "type reason: message".
func (b *reporterBed) described() (texts []string) {
	b.t.Helper()
	list, err := b.api.CoreV1().Events("").List(b.t.Context(), metav1.ListOptions{})
	if err != nil {
		b.t.Fatal(err)
	}
	name, none, kind, uid := "n1", "", "Node", "uid-1"
	selector := b.api.CoreV1().Events("").GetFieldSelector(&name, &none, &kind, &uid)
	for _, e := range list.Items {
		o := e.InvolvedObject
		if selector.Matches(fields.Set{
			"involvedObject.name": o.Name, "involvedObject.namespace": o.Namespace, "involvedObject.kind": o.Kind, "involvedObject.uid": string(o.UID),
		}) && e.Namespace == "default" && e.Source.Component == "podlane-kube" && !e.LastTimestamp.IsZero() && e.Count == 1 {
			texts = append(texts, fmt.Sprintf("%s %s: %s", e.Type, e.Reason, e.Message))
		}
	}
	return texts
}

func (b *reporterBed) expect(when, condition string, events ...string) {
	b.t.Helper()
	if got := b.condition(); got != condition {
		b.t.Errorf("%s: condition %q, want %q", when, got, condition)
	}
	if diff := cmp.Diff(events, b.described()); diff != "" {
		b.t.Errorf("%s: events (-want +got):\n%s", when, diff)
	}
}

const noProblem = "False NoProblem: podlane reports no problem on this node"

// At the first installation etcd does not answer. Within 30 s the Node's condition has the reason, until etcd answers.
func TestStoreIsUnreachable(t *testing.T) {
	b := newReporterBed(t)
	b.report("etcd: etcd does not answer at https://198.18.0.1:2379")
	b.pass(8 * time.Second)
	b.expect("before it is certain", "")
	b.pass(10 * time.Second)
	const text = "etcd: etcd does not answer at https://198.18.0.1:2379"
	b.expect("the store is away", "True Etcd: "+text, "Warning Etcd: "+text)
	b.report()
	b.pass(20 * time.Second)
	b.expect("it is over", noProblem, "Warning Etcd: "+text, "Normal Etcd: etcd: recovered; it was: etcd does not answer at https://198.18.0.1:2379")
	if got := strings.Count(b.log.String(), "condition PodNetworkProblem is "); got != 2 {
		t.Errorf("the log names the condition %d times, want 2:\n%s", got, b.log)
	}
}

func TestReporterReportsEachKind(t *testing.T) {
	kubeProxy := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-proxy"}, Data: map[string]string{"config.conf": "clusterCIDR: 10.244.0.0/16\n"},
	}
	b := newReporterBed(t, kubeProxy)
	writeNodeFile(t, b.config.runDir, "")
	b.problems.Set("API server", "podlane-kube has no right to do that")
	b.report("other CNI: 05-cilium.conflist comes before 10-podlane.conflist", "bridge-netfilter: br_netfilter is not loaded")
	b.pass(20 * time.Second)
	got := b.condition()
	for _, want := range []string{
		"True SeveralProblems: 4 problems: ", "API server: podlane-kube has no right", "; bridge-netfilter: br_netfilter is not loaded",
		"; kube-proxy: clusterCIDR 10.244.0.0/16 differs from podlane's Network 10.5.0.0/16: ", "; other CNI: 05-cilium.conflist comes before",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("condition %q, want %q in it", got, want)
		}
	}
	if events := b.described(); len(events) != 4 {
		t.Errorf("events %q, want 4", events)
	}
	kubeProxy.Data["config.conf"] = "clusterCIDR: 10.5.0.0/16\n"
	if _, err := b.api.CoreV1().ConfigMaps("kube-system").Update(t.Context(), kubeProxy, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	b.problems.Set("API server", "")
	b.report()
	b.pass(kubeProxyEvery + 20*time.Second)
	if got := b.condition(); got != noProblem {
		t.Errorf("condition %q, want %q", got, noProblem)
	}
}

func TestPodlanedIsDown(t *testing.T) {
	b := newReporterBed(t)
	b.config.runDir = t.TempDir()
	b.pass(20 * time.Second)
	if got := b.condition(); !strings.HasPrefix(got, "True Podlaned: podlaned: it does not answer: dial unix ") {
		t.Errorf("condition %q", got)
	}
}

// Without kubeadm there may be no kube-proxy. Without rights, that is the fault.
func TestKubeProxyConfigurationIsNotReadable(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"there is none":             {apierrors.NewNotFound(schema.GroupResource{Resource: "configmaps"}, "kube-proxy"), noProblem},
		"no answer":                 {errors.New("connection refused"), noProblem},
		"podlane-kube has no right": {apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "kube-proxy", errors.New("no")), "True KubeProxy: kube-proxy: read the ConfigMap kube-system/kube-proxy: podlane-kube has no right to do that (403)"},
	} {
		b := newReporterBed(t)
		writeNodeFile(t, b.config.runDir, "")
		b.api.PrependReactor("get", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, c.err })
		b.pass(20 * time.Second)
		if got := b.condition(); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: condition %q, want %q", name, got, c.want)
		}
	}
}

// The API server refuses Events for a while. They are sent later, in order. The condition does not wait for them.
func TestRefusedEventsAreSentLater(t *testing.T) {
	b := newReporterBed(t)
	refuse := true
	b.api.PrependReactor("create", "events", func(clienttesting.Action) (bool, runtime.Object, error) {
		return refuse, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "events"}, "", errors.New("no"))
	})
	b.report("etcd: no answer")
	b.pass(40 * time.Second)
	if got := b.condition(); !strings.Contains(got, "etcd: no answer") || !strings.Contains(got, "Events: create an Event of the Node: podlane-kube has no right") {
		t.Errorf("condition %q", got)
	}
	refuse = false
	b.report()
	b.pass(2 * maxRetry)
	var got []string
	for _, e := range b.described() {
		reason, _, _ := strings.Cut(e, ": ")
		got = append(got, reason)
	}
	if diff := cmp.Diff([]string{"Warning Etcd", "Warning Events", "Normal Etcd", "Normal Events"}, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if got := b.condition(); got != noProblem {
		t.Errorf("condition %q, want %q", got, noProblem)
	}
}

func TestPendingEventsAreBounded(t *testing.T) {
	var q eventQueue
	for i := range 3 * maxPending {
		q.add(&corev1.Event{Count: int32(i)})
	}
	if len(q.pending) != maxPending || q.pending[0].Count != 2*maxPending {
		t.Errorf("%d events, the first is number %d", len(q.pending), q.pending[0].Count)
	}
}

// An Event was created, and the answer was lost. The second attempt is refused, and counts as sent.
func TestExistingEventCountsAsSent(t *testing.T) {
	b := newReporterBed(t)
	e := newEvent("n1", "uid-1", change{fault: faultNamed("etcd")}, b.now, 1)
	b.events.add(e)
	b.events.add(e)
	if err := b.events.send(t.Context(), b.now); err != nil || len(b.events.pending) != 0 || len(b.described()) != 1 {
		t.Errorf("error %v, %d pending, %d events", err, len(b.events.pending), len(b.described()))
	}
}

// A text contains how long the fault lasts. The condition is written at most once a minute.
func TestChangingMessageIsWrittenOnceAMinute(t *testing.T) {
	b := newReporterBed(t)
	writes := func() (n int) {
		for _, a := range b.api.Actions() {
			if a.GetVerb() == "patch" {
				n++
			}
		}
		return n
	}
	for second := range 300 {
		b.report(fmt.Sprintf("etcd: its last answer was %d s ago", second))
		b.pass(readEvery)
	}
	if got := writes(); got < 9 || got > 11 {
		t.Errorf("%d writes in 10 minutes, want about 10", got)
	}
	if got := b.condition(); !strings.Contains(got, "its last answer was 2") {
		t.Errorf("condition %q is old", got)
	}
}

func TestRefusedProblemConditionIsRetried(t *testing.T) {
	b := newReporterBed(t)
	refusals := 0
	b.api.PrependReactor("patch", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
		refusals++
		return refusals <= 3, nil, errors.New("no")
	})
	b.pass(time.Minute)
	if got := b.condition(); got != noProblem || refusals < 4 {
		t.Errorf("condition %q after %d refusals", got, refusals)
	}
}

// A long name of a Node, as in a cloud, must leave room for the rest of the Event's name: 253 characters.
func TestNameOfAnEvent(t *testing.T) {
	name := strings.Repeat("a", 253)
	e := newEvent(name, "u", change{fault: nodeFault{"etcd", strings.Repeat("x", 5000)}}, time.Now(), 255)
	if len(e.Name) > 253 || e.InvolvedObject.Name != name || len(e.Message) > maxMessage {
		t.Errorf("name of %d, message of %d bytes", len(e.Name), len(e.Message))
	}
	if other := newEvent(name, "u", change{fault: faultNamed("etcd")}, time.Now(), 1); other.Name == e.Name {
		t.Errorf("two events have the name %s", e.Name)
	}
}

// The condition of another program stays.
func TestReporterKeepsOtherConditions(t *testing.T) {
	b := newReporterBed(t)
	writeNodeFile(t, b.config.runDir, "")
	w := &conditionWriter{config: b.config, nodes: b.api.CoreV1().Nodes(), problems: b.problems, log: b.reporter.log, started: b.now}
	w.reconcile(t.Context(), b.node(), b.now)
	b.report("etcd: no answer")
	b.pass(20 * time.Second)
	if c := networkUnavailable(t, b.api); c.Status != corev1.ConditionFalse || !strings.Contains(c.Message, netip.MustParsePrefix("10.5.34.0/24").String()) {
		t.Errorf("NetworkUnavailable: %v", c)
	}
	if got := b.condition(); got != "True Etcd: etcd: no answer" {
		t.Errorf("condition %q", got)
	}
}

// away is the error of a call while the API server is away.
var away = &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}

// The API server is away for half a minute. When it is back, the condition needs no write, and one kind of fault has Events.
func TestOutageOfTheAPIServerIsOneFault(t *testing.T) {
	b := newReporterBed(t)
	b.pass(4 * time.Second)
	b.expect("before", noProblem)
	refuse, written := true, 0
	b.api.PrependReactor("*", "*", func(a clienttesting.Action) (bool, runtime.Object, error) {
		if a.GetVerb() == "get" && a.GetResource().Resource == "nodes" {
			return false, nil, nil // the bed reads what the informer has
		}
		if a.GetVerb() == "patch" && !refuse {
			written++
		}
		return refuse, nil, away
	})
	const text = "list the Nodes: the API server does not answer: connection refused"
	b.problems.Set(watchingNodes, text)
	b.problems.Set(apiServer, "watch the Nodes: the API server does not answer: connection refused")
	b.pass(30 * time.Second)
	if got := b.problems.List(); len(got) != 2 {
		t.Errorf("while it is away: problems %q, want those of the watches alone", got)
	}
	refuse = false
	b.problems.Set(watchingNodes, "")
	b.problems.Set(apiServer, "")
	b.pass(2 * time.Second)
	if got := b.described(); len(got) != 1 {
		t.Errorf("events %q at once, want one", got)
	}
	b.pass(30 * time.Second)
	b.expect("after", noProblem, "Warning Nodes: Nodes: "+text, "Normal Nodes: Nodes: recovered; it was: "+text)
	if written != 0 {
		t.Errorf("%d writes of the condition, want none: it is the same as before", written)
	}
	if got := b.problems.List(); len(got) != 0 {
		t.Errorf("problems %q", got)
	}
}
