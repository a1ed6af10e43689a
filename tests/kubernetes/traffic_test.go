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

// ends is a pod on each of these nodes that runs now, for streams between them.
func (k *kube) ends(t *testing.T, nodes ...*node) (ends []pod) {
	t.Helper()
	k.kubectl(t, "apply", "-f", "testdata/traffic.yaml")
	cluster.Until(t, minute, "a pod on each node", func() (bool, string) {
		out, err := k.try(t, "-n", "traffic", "rollout", "status", "daemonset/end", "--watch=false")
		return err == nil && strings.Contains(out, "successfully"), out
	})
	for _, p := range k.podsOf(t, "traffic", "app=end") {
		if slices.ContainsFunc(nodes, func(n *node) bool { return n.name == p.node }) {
			ends = append(ends, p)
		}
	}
	if len(ends) != len(nodes) {
		t.Fatalf("%d pods on %d nodes", len(ends), len(nodes))
	}
	return ends
}

// flood starts streams between pods of every two of these nodes, in each family.
func (k *kube) flood(t *testing.T, nodes ...*node) (f cluster.Flood) {
	t.Helper()
	ends := k.ends(t, nodes...)
	for i, a := range ends {
		for _, b := range ends[i+1:] {
			for family := range a.addresses {
				s, err := stream.Start(t.Context(), end(a, family), end(b, family), stream.Options{Connections: cluster.Connections})
				cluster.Check(t, err)
				t.Cleanup(func() { s.Stop() })
				f = append(f, s)
			}
		}
	}
	return f
}

func end(p pod, family int) stream.End {
	return stream.End{Place: p.Namespace, Addr: netip.MustParseAddr(p.addresses[family])}
}

// A release and the way back, node after node, cost not one packet.
func (k *kube) rolloutAndBack(t *testing.T) {
	f := k.flood(t, k.nodes...)
	began := time.Now()
	k.rollout(t, "v2")
	k.kubectl(t, "-n", "podlane", "rollout", "undo", "daemonset/podlane")
	k.settled(t)
	if tags := k.tags(t); len(tags) != 1 || tags[0] != "v1" {
		t.Errorf("after the way back the images are %v", tags)
	}
	t.Logf("there and back in %v", time.Since(began).Round(time.Second))
	f.ExpectNothingLost(t)
}

// brokenRollout rolls out an image that does not work: it comes no further than one node, whose pods go on, and where new
// pods still get a network.
func (k *kube) brokenRollout(t *testing.T, tag string) {
	f := k.flood(t, k.nodes...)
	k.apply(t, tag)
	var victim string
	cluster.Until(t, 2*minute, "a pod of podlane's is broken", func() (bool, string) {
		out := k.get(t, `{range .items[*]}{.spec.nodeName}{" "}{.status.initContainerStatuses[*].state.waiting.reason}{"\n"}{end}`,
			"-n", "podlane", "pods", "-l", "app.kubernetes.io/component=node")
		victim = brokenNode(out)
		return victim != "", out
	})
	k.expectNewPod(t, victim)
	if ready := k.get(t, "{.status.numberReady}", "-n", "podlane", "daemonset", "podlane"); ready != "2" {
		t.Errorf("%s pods of podlane's are ready, want 2", ready)
	}
	k.rollout(t, "v1")
	f.ExpectNothingLost(t)
}

// expectNewPod starts one more pod on a node, which the pods on all nodes reach.
func (k *kube) expectNewPod(t *testing.T, node string) {
	t.Helper()
	k.kubectl(t, "-n", "traffic", "run", "new", "--image=registry.k8s.io/e2e-test-images/agnhost:2.59", "--restart=Never",
		`--overrides={"spec":{"nodeName":"`+node+`","tolerations":[{"operator":"Exists"}],"terminationGracePeriodSeconds":0}}`, "--", "netexec", "--http-port=8080")
	k.kubectl(t, "-n", "traffic", "wait", "--for=condition=Ready", "pod/new", "--timeout=60s", "--request-timeout=0")
	address := k.get(t, "{.status.podIP}", "-n", "traffic", "pod", "new")
	for _, p := range k.ends(t, k.nodes...) {
		expectSource(t, p.Namespace, address+":8080", p.address)
	}
	k.kubectl(t, "-n", "traffic", "delete", "pod", "new", "--request-timeout=0")
}

// settled waits until the DaemonSet is rolled out.
func (k *kube) settled(t *testing.T) {
	t.Helper()
	k.kubectl(t, "-n", "podlane", "rollout", "status", "daemonset/podlane", "--timeout=180s", "--request-timeout=0")
}

// tags is the tags of the images that run.
func (k *kube) tags(t *testing.T) []string {
	t.Helper()
	images := strings.Fields(k.get(t, "{.items[*].spec.containers[*].image}", "-n", "podlane", "pods", "-l", "app.kubernetes.io/component=node"))
	for i, image := range images {
		images[i] = image[strings.LastIndex(image, ":")+1:]
	}
	slices.Sort(images)
	return slices.Compact(images)
}

// brokenNode finds in lines of a node and what its pod waits for one that waits because of its image.
func brokenNode(text string) string {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) > 1 && (strings.Contains(words[1], "Pull") || words[1] == "CrashLoopBackOff") {
			return words[0]
		}
	}
	return ""
}
