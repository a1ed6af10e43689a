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

// All steps run on one cluster. Its nodes have no CNI configuration until podlane writes it. etcd is outside the
// cluster.
func TestKubernetes(t *testing.T) {
	k := newKube("https://" + outside + ":2379")
	steps := selectSteps(
		step{"smoke", k.smoke},
		step{"rollout and back", k.rolloutAndBack},
		step{"rollout of an image that crashes", func(t *testing.T) { k.brokenRollout(t, "broken") }},
		step{"rollout of an image that is not there", func(t *testing.T) { k.brokenRollout(t, "absent") }},
		step{"another CNI's configuration", k.otherCNI},
		step{"CNI folders that are read-only or missing", k.badFolders},
		step{"etcd with another authority", k.otherAuthority},
		step{"no etcd", func(s *testing.T) { k.noEtcd(s, t) }},
		step{"power cut", k.powerCut},
		step{"deleted node", k.deletedNode},
		step{"conformance/nftables", k.conformance},
		step{"conformance/iptables", func(t *testing.T) { k.proxy(t, "iptables"); k.conformance(t) }},
	)
	if len(steps) == 0 {
		return
	}
	k.start(t)
	k.stopEtcd = k.serveEtcd(t)
	k.createSecrets(t)
	k.rollout(t, "v1")
	k.awaitPodNetwork(t)
	runSteps(t, steps)
}

// As above, but installed by Helm, with both families and an etcd on the nodes. This etcd starts before there is a pod
// network.
func TestHelm(t *testing.T) {
	k := newKube("https://" + server + ":12379")
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

// expectCondition expects that the Node reports its network as available. It must explain the podCIDR of the controller
// manager.
func (k *kube) expectCondition(t *testing.T, n *node) {
	t.Helper()
	const path = `{.status.conditions[?(@.type=="NetworkUnavailable")].`
	status, message := k.get(t, path+"status}", "node", n.name), k.get(t, path+"message}", "node", n.name)
	t.Log(n.name + ": " + message)
	if status != "False" {
		t.Errorf("%s: NetworkUnavailable: got %s, want False", n.name, status)
	}
	for _, want := range []string{"10.5.", "podCIDR 10.244."} {
		if !strings.Contains(message, want) {
			t.Errorf("%s: NetworkUnavailable: message %q, want %q in it", n.name, message, want)
		}
	}
	if taints := k.get(t, "{.spec.taints}", "node", n.name); strings.Contains(taints, "network-unavailable") {
		t.Errorf("%s: unexpected taints %s", n.name, taints)
	}
}
