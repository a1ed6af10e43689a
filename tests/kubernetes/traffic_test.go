package kubernetes

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/tests/cluster"
	"github.com/podlane/podlane/tests/stream"
)

// trafficPods returns a running pod on each of these nodes, for streams between them.
func (k *kube) trafficPods(t *testing.T, nodes ...*node) (pods []pod) {
	t.Helper()
	k.kubectl(t, "apply", "-f", "testdata/traffic.yaml")
	cluster.Until(t, minute, "a pod on each node", func() (bool, string) {
		out, err := k.try(t, "-n", "traffic", "rollout", "status", "daemonset/end", "--watch=false")
		return err == nil && strings.Contains(out, "successfully"), out
	})
	for _, p := range k.podsOf(t, "traffic", "app=end") {
		if slices.ContainsFunc(nodes, func(n *node) bool { return n.name == p.node }) {
			pods = append(pods, p)
		}
	}
	if len(pods) != len(nodes) {
		t.Fatalf("%d pods on %d nodes, want one on each", len(pods), len(nodes))
	}
	return pods
}

// flood starts streams between pods of every two of these nodes, in each family.
func (k *kube) flood(t *testing.T, nodes ...*node) (f cluster.Flood) {
	t.Helper()
	pods := k.trafficPods(t, nodes...)
	for i, a := range pods {
		for _, b := range pods[i+1:] {
			for family := range a.addresses {
				f = append(f, cluster.StartStream(t, end(a, family), end(b, family)))
			}
		}
	}
	return f
}

func end(p pod, family int) stream.End {
	return stream.End{Place: p.Namespace, Addr: netip.MustParseAddr(p.addresses[family])}
}

// A rollout and its undo, node after node, lose no packet.
func (k *kube) rolloutAndBack(t *testing.T) {
	f := k.flood(t, k.nodes...)
	began := time.Now()
	k.rollout(t, "v2")
	k.kubectl(t, "-n", "podlane", "rollout", "undo", "daemonset/podlane")
	k.awaitRollout(t)
	if tags := k.tags(t); len(tags) != 1 || tags[0] != "v1" {
		t.Errorf("images after the undo: %v, want v1", tags)
	}
	t.Logf("rollout and undo in %v", time.Since(began).Round(time.Second))
	f.ExpectNothingLost(t)
}

// brokenRollout rolls out an image that does not work. The rollout stops at the first node. The pods there go on. New
// pods get a network.
func (k *kube) brokenRollout(t *testing.T, tag string) {
	f := k.flood(t, k.nodes...)
	k.apply(t, tag)
	k.expectNewPod(t, k.awaitBroken(t))
	if ready := k.get(t, "{.status.numberReady}", "-n", "podlane", "daemonset", "podlane"); ready != "2" {
		t.Errorf("%s podlane pods are ready, want 2", ready)
	}
	k.rollout(t, "v1")
	f.ExpectNothingLost(t)
}

// awaitBroken waits until a podlane pod can not run its image. It returns the node.
func (k *kube) awaitBroken(t *testing.T) (name string) {
	t.Helper()
	cluster.Until(t, 2*minute, "a podlane pod is broken", func() (bool, string) {
		out := k.get(t, `{range .items[*]}{.spec.nodeName}{" "}{.status.initContainerStatuses[*].state.waiting.reason}{"\n"}{end}`,
			"-n", "podlane", "pods", "-l", "app.kubernetes.io/component=node")
		name = brokenNode(out)
		return name != "", out
	})
	return name
}

// expectNewPod starts one more pod on a node. The pods on all nodes must reach it.
func (k *kube) expectNewPod(t *testing.T, node string) {
	t.Helper()
	k.kubectl(t, "-n", "traffic", "run", "new", "--image=registry.k8s.io/e2e-test-images/agnhost:2.59", "--restart=Never",
		`--overrides={"spec":{"nodeName":"`+node+`","tolerations":[{"operator":"Exists"}],"terminationGracePeriodSeconds":0}}`, "--", "netexec", "--http-port=8080")
	k.kubectl(t, "-n", "traffic", "wait", "--for=condition=Ready", "pod/new", "--timeout=60s", "--request-timeout=0")
	address := k.get(t, "{.status.podIP}", "-n", "traffic", "pod", "new")
	for _, p := range k.trafficPods(t, k.nodes...) {
		expectSource(t, p.Namespace, address+":8080", p.address)
	}
	k.kubectl(t, "-n", "traffic", "delete", "pod", "new", "--request-timeout=0")
}

// awaitRollout waits until the DaemonSet is rolled out.
func (k *kube) awaitRollout(t *testing.T) {
	t.Helper()
	k.kubectl(t, "-n", "podlane", "rollout", "status", "daemonset/podlane", "--timeout=180s", "--request-timeout=0")
}

// tags returns the tags of the running images.
func (k *kube) tags(t *testing.T) []string {
	t.Helper()
	images := strings.Fields(k.get(t, "{.items[*].spec.containers[*].image}", "-n", "podlane", "pods", "-l", "app.kubernetes.io/component=node"))
	for i, image := range images {
		images[i] = image[strings.LastIndex(image, ":")+1:]
	}
	slices.Sort(images)
	return slices.Compact(images)
}

// brokenNode returns the node of a pod that waits because of its image. Each line has a node and its pod's reasons to
// wait.
func brokenNode(text string) string {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) > 1 && (strings.Contains(words[1], "Pull") || words[1] == "CrashLoopBackOff") {
			return words[0]
		}
	}
	return ""
}
