package kubernetes

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

// One cluster for all, from its first moment: the nodes have no CNI configuration until podlane writes it.
func TestKubernetes(t *testing.T) {
	k := start(t)
	began := time.Now()
	k.rollout(t, "v1")
	k.kubectl(t, "apply", "-f", "testdata/coredns.yaml")
	k.kubectl(t, "wait", "--for=condition=Ready", "node", "--all", "--timeout=120s", "--request-timeout=0")
	k.kubectl(t, "-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=120s", "--request-timeout=0")
	t.Logf("nodes Ready and DNS there %v after `kubectl apply -k`", time.Since(began).Round(time.Second))
	for _, n := range k.nodes {
		if !t.Run("condition of "+n.name, func(t *testing.T) { k.condition(t, n) }) {
			return
		}
	}
	for _, step := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"smoke", k.smoke},
		{"rollout and back", k.rolloutAndBack},
		{"rollout of an image that crashes", func(t *testing.T) { k.brokenRollout(t, "broken") }},
		{"rollout of an image that is not there", func(t *testing.T) { k.brokenRollout(t, "absent") }},
		{"power cut", k.powerCut},
		{"deleted node", k.deletedNode},
		{"conformance/nftables", k.conformance},
		{"conformance/iptables", func(t *testing.T) { k.proxy(t, "iptables"); k.conformance(t) }},
	} {
		if !regexp.MustCompile(*only).MatchString(step.name) {
			continue
		}
		if !t.Run(step.name, step.run) {
			return // what follows would only tell the same
		}
	}
}

// condition looks at what the Node says of its network: it is up, and the podCIDR of the controller manager is explained.
func (k *kube) condition(t *testing.T, n *node) {
	const path = `{.status.conditions[?(@.type=="NetworkUnavailable")].`
	status, message := k.get(t, path+"status}", "node", n.name), k.get(t, path+"message}", "node", n.name)
	t.Log(message)
	if status != "False" || !strings.Contains(message, "10.5.") || !strings.Contains(message, "podCIDR 10.244.") {
		t.Errorf("NetworkUnavailable is %s: %s", status, message)
	}
	if taints := k.get(t, "{.spec.taints}", "node", n.name); strings.Contains(taints, "network-unavailable") {
		t.Errorf("taints %s", taints)
	}
}
