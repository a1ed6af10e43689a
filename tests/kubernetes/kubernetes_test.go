package kubernetes

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// step is a part of a test.
type step struct {
	name string
	run  func(t *testing.T)
}

// selectSteps returns the steps that the flag -only selects.
func selectSteps(steps ...step) []step {
	return slices.DeleteFunc(steps, func(s step) bool { return !regexp.MustCompile(*only).MatchString(s.name) })
}

// runSteps runs steps until one fails. Later steps would only report the same.
func runSteps(t *testing.T, steps []step) {
	for _, s := range steps {
		if !t.Run(s.name, s.run) {
			return
		}
	}
}

// The default: podlane's store is the API server. The cluster is as kubeadm makes it. podlane.yaml is applied without
// any value.
func TestKubernetes(t *testing.T) {
	k := newKube(oneFamily, "")
	steps := selectSteps(
		step{"kubernetes/smoke", k.smoke},
		step{"kubernetes/token of another node", k.otherNodesToken},
		step{"kubernetes/rollout and back", k.rolloutAndBack},
		step{"kubernetes/API server away", k.apiServerAway},
		step{"kubernetes/rollout of an image that crashes without the store", func(s *testing.T) { k.brokenRolloutWithoutStore(s, t) }},
		step{"kubernetes/problem: another CNI's configuration", k.otherConflist},
		step{"kubernetes/problem: br_netfilter", k.noBridgeNetfilter},
		step{"kubernetes/problem: kube-proxy's clusterCIDR", k.otherClusterCIDR},
		step{"kubernetes/power cut", k.powerCut},
		step{"kubernetes/deleted node", k.deletedNode},
		step{"kubernetes/thousand nodes", k.thousandNodes},
		step{"kubernetes/conformance/nftables", k.conformance},
		step{"kubernetes/conformance/iptables", func(t *testing.T) { k.proxy(t, "iptables"); k.conformance(t) }},
	)
	if len(steps) == 0 {
		return
	}
	k.start(t)
	k.rollout(t, "v1")
	k.awaitPodNetwork(t)
	runSteps(t, steps)
}

// As above with both families, and installed by Helm without any value.
func TestTwoFamilies(t *testing.T) {
	k := newKube(twoFamilies, "")
	steps := selectSteps(
		step{"two families/traffic", k.twoFamilies},
		step{"two families/metrics", k.metrics},
		step{"two families/upgrade and rollback", k.upgradeAndRollback},
		step{"two families/sig-network", k.dualStack},
		step{"two families/uninstall and clean up", k.uninstall},
	)
	if len(steps) == 0 {
		return
	}
	k.start(t)
	t.Log(k.helm(t, "install", "podlane", chart, "--namespace=podlane", "--create-namespace", "--set=image.tag=v1"))
	k.awaitPodNetwork(t)
	runSteps(t, steps)
}

// A cluster that was made without a pod network, and then gets one.
func TestClusterWithoutPodCIDRs(t *testing.T) {
	k := newKube(noPodNetwork, "")
	steps := selectSteps(step{"install/no podCIDR", k.noPodCIDR})
	if len(steps) == 0 {
		return
	}
	k.start(t)
	runSteps(t, steps)
}

// The store etcd, which is outside the cluster. podlane does not use the Nodes' podCIDRs.
func TestEtcd(t *testing.T) {
	k := newKube(otherThanPodlane, "https://"+outside+":2379")
	steps := selectSteps(
		step{"etcd/first installation without etcd", func(s *testing.T) { k.noStore(s, t) }},
		step{"etcd/smoke", k.smoke},
		step{"etcd/rollout and back", k.rolloutAndBack},
		step{"etcd/rollout of an image that crashes", func(t *testing.T) { k.brokenRollout(t, "broken") }},
		step{"etcd/rollout of an image that is not there", func(t *testing.T) { k.brokenRollout(t, "absent") }},
		step{"etcd/rollout of an image that crashes without the store", func(s *testing.T) { k.brokenRolloutWithoutStore(s, t) }},
		step{"etcd/another CNI's configuration", k.otherCNI},
		step{"etcd/CNI folders that are read-only or missing", k.badFolders},
		step{"etcd/another authority", k.otherAuthority},
		step{"etcd/no etcd", func(s *testing.T) { k.noEtcd(s, t) }},
		step{"etcd/problem: no etcd", func(s *testing.T) { k.storeProblem(s, t) }},
		step{"etcd/power cut", k.powerCut},
		step{"etcd/deleted node", k.deletedNode},
		step{"etcd/conformance/nftables", k.conformance},
		step{"etcd/conformance/iptables", func(t *testing.T) { k.proxy(t, "iptables"); k.conformance(t) }},
	)
	if len(steps) == 0 {
		return
	}
	k.start(t)
	if steps[0].name != "etcd/first installation without etcd" {
		k.createSecrets(t)
		k.stopEtcd = k.serveEtcd(t)
		k.rollout(t, "v1")
		k.awaitPodNetwork(t)
	}
	runSteps(t, steps)
}

// As above, but installed by Helm, with both families and an etcd on the nodes. This etcd starts before there is a pod
// network.
func TestEtcdOnNodes(t *testing.T) {
	k := newKube(otherThanPodlane, "https://"+server+":12379")
	steps := selectSteps(
		step{"helm/two families", k.twoFamilies},
		step{"helm/upgrade and rollback", k.upgradeAndRollback},
		step{"helm/br_netfilter", k.bridgeNetfilter},
		step{"helm/etcd member lost", k.memberLost},
		step{"helm/etcd member replaced", k.memberReplaced},
		step{"helm/uninstall and clean up", k.uninstall},
	)
	if len(steps) == 0 {
		return
	}
	k.start(t)
	k.createSecrets(t)
	k.kubectl(t, "label", "node", "--all", "podlane/etcd=member")
	t.Log(k.helm(t, "install", "podlane", chart, "--namespace=podlane", "--values=testdata/values.yaml"))
	k.kubectl(t, "-n", "podlane", "rollout", "status", "daemonset/podlane-etcd", "--timeout=120s", "--request-timeout=0")
	k.awaitPodNetwork(t)
	runSteps(t, steps)
}

// expectCondition expects that the Node reports its network as available. In the store etcd, it must explain the podCIDR
// of the controller manager.
func (k *kube) expectCondition(t *testing.T, n *node) {
	t.Helper()
	const path = `{.status.conditions[?(@.type=="NetworkUnavailable")].`
	status, message := k.get(t, path+"status}", "node", n.name), k.get(t, path+"message}", "node", n.name)
	t.Log(n.name + ": " + message)
	if status != "False" {
		t.Errorf("%s: NetworkUnavailable: got %s, want False", n.name, status)
	}
	texts := []string{"10.5.", "podCIDR 10.244."}
	if k.etcd == "" {
		texts = strings.Fields(k.get(t, "{.spec.podCIDRs[*]}", "node", n.name))
	}
	for _, want := range texts {
		if !strings.Contains(message, want) {
			t.Errorf("%s: NetworkUnavailable: message %q, want %q in it", n.name, message, want)
		}
	}
	if taints := k.get(t, "{.spec.taints}", "node", n.name); strings.Contains(taints, "network-unavailable") {
		t.Errorf("%s: unexpected taints %s", n.name, taints)
	}
}
