package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/podlane/podlane/problems"
)

// deadline bounds every wait for a condition.
const deadline = 20 * time.Second

// logBuffer is a log that can be read while it is written.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	end, tick := time.After(deadline), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("not within %v: %s", deadline, what)
		}
	}
}

// plainNodes lists and watches like before Kubernetes 1.32. The fake server cannot stream a list.
type plainNodes struct{ nodeClient }

func (plainNodes) IsWatchListSemanticsUnSupported() bool { return true }

// startWriter runs a conditionWriter of the Node n1. It returns the log.
func startWriter(t *testing.T, api *fake.Clientset, dir string, started time.Time) *logBuffer {
	t.Helper()
	text := &logBuffer{}
	log := newLogger(text)
	n := &conditionWriter{config: config{nodeName: "n1", runDir: dir}, nodes: plainNodes{api.CoreV1().Nodes()}, problems: problems.New(log), log: log, started: started}
	runUntilEnd(t, n.run)
	return text
}

// runUntilEnd runs a job until the test ends.
func runUntilEnd(t *testing.T, job func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- job(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func nodeWith(podCIDR string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}
	if podCIDR != "" {
		n.Spec.PodCIDR, n.Spec.PodCIDRs = podCIDR, []string{podCIDR}
	}
	return n
}

func networkUnavailable(t *testing.T, api *fake.Clientset) corev1.NodeCondition {
	t.Helper()
	node, err := api.CoreV1().Nodes().Get(t.Context(), "n1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeNetworkUnavailable {
			return c
		}
	}
	return corev1.NodeCondition{}
}

func awaitStatus(t *testing.T, api *fake.Clientset, want corev1.ConditionStatus) corev1.NodeCondition {
	t.Helper()
	until(t, "NetworkUnavailable is "+string(want), func() bool { return networkUnavailable(t, api).Status == want })
	return networkUnavailable(t, api)
}

func TestNodeComesUp(t *testing.T) {
	api, dir := fake.NewClientset(nodeWith("10.244.1.0/24")), startPodlaned(t, "lease: none yet")
	log := startWriter(t, api, dir, time.Now().Add(-startTime))
	if c := awaitStatus(t, api, corev1.ConditionTrue); c.Reason != reasonDown || !strings.Contains(c.Message, "lease: none yet") {
		t.Errorf("condition %v", c)
	}
	writeNodeFile(t, dir, "")
	c := awaitStatus(t, api, corev1.ConditionFalse)
	if c.Reason != reasonUp || !strings.Contains(c.Message, "10.5.34.0/24") || !strings.Contains(c.Message, "podCIDR 10.244.1.0/24") {
		t.Errorf("condition %v", c)
	}
	if got := strings.Count(log.String(), "level=warning"); got != 1 || !strings.Contains(log.String(), "--allocate-node-cidrs=false") {
		t.Errorf("%d warnings, want one about the podCIDR; the log:\n%s", got, log)
	}
}

// The store kubernetes needs the podCIDRs, also if the pod network has only one family of a dual-stack cluster.
func TestUnusedPodCIDRWithStoreKubernetes(t *testing.T) {
	node, dir, log := nodeWith("fd00:10:244:1::/64"), t.TempDir(), &logBuffer{}
	writeNodeFile(t, dir, "")
	api := fake.NewClientset(node)
	n := &conditionWriter{
		config: config{nodeName: "n1", runDir: dir, store: storeKubernetes}, nodes: plainNodes{api.CoreV1().Nodes()},
		problems: problems.New(newLogger(log)), log: newLogger(log),
	}
	n.reconcile(t.Context(), node, time.Now())
	if c := networkUnavailable(t, api); c.Reason != reasonUp || strings.Contains(c.Message+log.String(), "--allocate-node-cidrs=false") {
		t.Errorf("condition %v; the log:\n%s", c, log)
	}
}

func TestConditionFromAnotherProgramIsReplaced(t *testing.T) {
	api, dir := fake.NewClientset(nodeWith("")), t.TempDir()
	writeNodeFile(t, dir, "")
	startWriter(t, api, dir, time.Now())
	awaitStatus(t, api, corev1.ConditionFalse)
	node := nodeWith("")
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionTrue, Reason: "NoRouteCreated"}}
	if _, err := api.CoreV1().Nodes().UpdateStatus(t.Context(), node, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, api, corev1.ConditionFalse)
}

func TestRefusedConditionIsRetriedAndLoggedOnce(t *testing.T) {
	api, dir := fake.NewClientset(nodeWith("")), t.TempDir()
	writeNodeFile(t, dir, "")
	var mu sync.Mutex
	refusals, refuse := 0, true
	api.PrependReactor("patch", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
		mu.Lock()
		defer mu.Unlock()
		if refuse {
			refusals++
			return true, nil, errors.New("no")
		}
		return false, nil, nil
	})
	log := startWriter(t, api, dir, time.Now())
	until(t, "three refusals", func() bool {
		mu.Lock()
		defer mu.Unlock()
		refuse = refusals < 3
		return !refuse
	})
	awaitStatus(t, api, corev1.ConditionFalse)
	until(t, "recovered", func() bool { return strings.Contains(log.String(), "recovered") })
	if got := strings.Count(log.String(), "level=warning"); got != 1 {
		t.Errorf("%d warnings, want 1:\n%s", got, log)
	}
}

func TestConditionWaitsForTheStartOfPodlaned(t *testing.T) {
	api := fake.NewClientset(nodeWith(""))
	log := logrus.New()
	began := time.Unix(1000, 0)
	n := &conditionWriter{config: config{nodeName: "n1", runDir: t.TempDir()}, nodes: api.CoreV1().Nodes(), problems: problems.New(log), log: log, started: began}
	n.reconcile(t.Context(), nodeWith(""), began.Add(startTime-1))
	if c := networkUnavailable(t, api); c.Status != "" {
		t.Errorf("condition %v before podlaned could start", c)
	}
	n.reconcile(t.Context(), nodeWith(""), began.Add(startTime))
	if c := networkUnavailable(t, api); c.Status != corev1.ConditionTrue {
		t.Errorf("condition %v", c)
	}
}

func TestRetryDelayGrowsToALimit(t *testing.T) {
	for failures, want := range map[int]time.Duration{0: time.Second, 1: 2 * time.Second, 5: 32 * time.Second, 6: maxRetry, 1000: maxRetry} {
		if got := retryDelay(failures); got != want {
			t.Errorf("after %d failures %v, want %v", failures, got, want)
		}
	}
}

// A condition could not be written, and is correct again without a write: a reason came and went while the API server was away.
func TestFailedWriteThatIsNoLongerNeeded(t *testing.T) {
	api, dir, log := fake.NewClientset(nodeWith("")), t.TempDir(), logrus.New()
	began := time.Unix(1000, 0)
	n := &conditionWriter{config: config{nodeName: "n1", runDir: dir}, nodes: api.CoreV1().Nodes(), problems: problems.New(log), log: log, started: began}
	node := func() *corev1.Node {
		node, err := api.CoreV1().Nodes().Get(t.Context(), "n1", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return node
	}
	writeNodeFile(t, dir, "")
	n.reconcile(t.Context(), node(), began)
	refuse := true
	api.PrependReactor("patch", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) { return refuse, nil, errors.New("no") })
	writeNodeFile(t, dir, "the lease ran out")
	n.reconcile(t.Context(), node(), began.Add(startTime))
	if got := n.problems.List(); len(got) != 1 {
		t.Fatalf("problems %q, want that of the write", got)
	}
	writeNodeFile(t, dir, "")
	n.reconcile(t.Context(), node(), began.Add(startTime+2*time.Second))
	if got := n.problems.List(); len(got) != 0 {
		t.Errorf("problems %q, want none", got)
	}
}

// A failed write waits for up to a minute. It is due at once when the API server answers again.
func TestWriteIsDueAfterAnOutage(t *testing.T) {
	api, dir, log := fake.NewClientset(nodeWith("")), t.TempDir(), logrus.New()
	began := time.Unix(1000, 0)
	n := &conditionWriter{config: config{nodeName: "n1", runDir: dir}, nodes: api.CoreV1().Nodes(), problems: problems.New(log), log: log, started: began}
	refuse := true
	api.PrependReactor("patch", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) { return refuse, nil, away })
	writeNodeFile(t, dir, "")
	n.problems.Set(watchingNodes, "the API server does not answer")
	now := began
	for range 100 {
		now = now.Add(readEvery)
		n.reconcile(t.Context(), nodeWith(""), now)
	}
	if n.retryAt.Before(now.Add(readEvery)) || n.problems.Get(nodeCondition) != "" {
		t.Fatalf("problems %q, the next attempt in %v", n.problems.List(), n.retryAt.Sub(now))
	}
	refuse = false
	n.problems.Set(watchingNodes, "")
	n.reconcile(t.Context(), nodeWith(""), now.Add(readEvery))
	if c := networkUnavailable(t, api); c.Status != corev1.ConditionFalse {
		t.Errorf("condition %v", c)
	}
}
