package kubernetes

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/tests/cluster"
)

// How long a problem may take to appear in `kubectl describe node`, and to leave it.
const (
	problemLimit = 30 * time.Second
	// podlaned verifies the kernel's settings every 30 s.
	kernelLimit = 30*time.Second + problemLimit
	// podlane-kube reads kube-proxy's configuration every minute.
	kubeProxyLimit = 90 * time.Second
)

// describe returns the condition PodNetworkProblem of a Node and its Events, as `kubectl describe node` prints them.
func (k *kube) describe(t *testing.T, n *node) (condition string, events []string) {
	t.Helper()
	text, after, _ := strings.Cut(k.kubectl(t, "describe", "node", n.name), "\nEvents:")
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "PodNetworkProblem ") {
			condition = strings.Join(strings.Fields(line), " ")
		}
	}
	for line := range strings.Lines(after) {
		events = append(events, strings.Join(strings.Fields(line), " "))
	}
	return condition, events
}

// expectProblem waits until `kubectl describe node` shows a problem: in the condition and as an Event.
func (k *kube) expectProblem(t *testing.T, n *node, words ...string) {
	t.Helper()
	k.expectProblemWithin(t, problemLimit, n, words...)
}

func (k *kube) expectProblemWithin(t *testing.T, limit time.Duration, n *node, words ...string) {
	t.Helper()
	took := cluster.Until(t, limit, n.name+" has the problem: "+strings.Join(words, " "), func() (bool, string) {
		condition, events := k.describe(t, n)
		shown := slices.ContainsFunc(events, func(e string) bool { return strings.HasPrefix(e, "Warning ") && containsAll(e, words) })
		return strings.HasPrefix(condition, "PodNetworkProblem True ") && containsAll(condition, words) && shown,
			condition + "\n" + strings.Join(events, "\n")
	})
	condition, _ := k.describe(t, n)
	t.Logf("%s, %v: %s", n.name, took, condition)
}

// expectNoProblem waits until the condition no longer has a problem with these words. An Event must report that it is over.
func (k *kube) expectNoProblem(t *testing.T, n *node, words ...string) {
	t.Helper()
	k.expectNoProblemWithin(t, problemLimit, n, words...)
}

func (k *kube) expectNoProblemWithin(t *testing.T, limit time.Duration, n *node, words ...string) {
	t.Helper()
	took := cluster.Until(t, limit, n.name+" has no problem any more: "+strings.Join(words, " "), func() (bool, string) {
		condition, events := k.describe(t, n)
		over := slices.ContainsFunc(events, func(e string) bool {
			return strings.HasPrefix(e, "Normal ") && strings.Contains(e, "recovered; it was: ") && containsAll(e, words)
		})
		return condition != "" && !containsAll(condition, words) && over, condition + "\n" + strings.Join(events, "\n")
	})
	condition, _ := k.describe(t, n)
	t.Logf("%s, %v: %s", n.name, took, condition)
}

// expectCured waits until the condition no longer has a problem with these words. podlane-kube may have started so late
// that it reported no Warning. Then there is no Event that the problem is over.
func (k *kube) expectCured(t *testing.T, n *node, words ...string) {
	t.Helper()
	cluster.Until(t, problemLimit, n.name+" has no problem any more: "+strings.Join(words, " "), func() (bool, string) {
		condition, _ := k.describe(t, n)
		return condition != "" && !containsAll(condition, words), condition
	})
}

// storeProblem stops podlane's etcd. The Nodes report it.
func (k *kube) storeProblem(t, whole *testing.T) {
	restore := k.cutStore(t, whole)
	for _, n := range k.nodes {
		k.expectProblem(t, n, "etcd", "connection refused")
	}
	restore()
	for _, n := range k.nodes {
		k.expectNoProblem(t, n, "connection refused")
	}
}

// otherConflist adds another CNI's configuration that sorts before podlane's.
func (k *kube) otherConflist(t *testing.T) {
	n := k.nodes[1]
	file := n.disk("fs/etc/cni/net.d/05-other.conflist")
	cluster.Check(t, writeFile(file, `{"cniVersion":"1.0.0","name":"other","plugins":[{"type":"bridge"}]}`))
	k.expectProblem(t, n, "05-other.conflist", "10-podlane.conflist")
	cluster.Check(t, os.Remove(file))
	k.expectNoProblem(t, n, "05-other.conflist")
}

// noBridgeNetfilter hides the module br_netfilter from podlaned on a node.
func (k *kube) noBridgeNetfilter(t *testing.T) {
	n := k.nodes[1]
	const inPodlaned = `for p in /proc/[0-9]*; do case $(readlink $p/exe) in */podlaned) pid=${p#/proc/};; esac; done; `
	if out, err := n.run(t, "sh", "-ec", inPodlaned+`mount -N $pid -t tmpfs none /proc/sys/net/bridge`); err != nil {
		t.Fatal(err, out)
	}
	k.expectProblemWithin(t, kernelLimit, n, "br_netfilter")
	if out, err := n.run(t, "sh", "-ec", inPodlaned+`umount -N $pid /proc/sys/net/bridge`); err != nil {
		t.Fatal(err, out)
	}
	k.expectNoProblemWithin(t, kernelLimit, n, "br_netfilter")
}

// otherClusterCIDR sets kube-proxy's clusterCIDR to a range that is not podlane's network.
func (k *kube) otherClusterCIDR(t *testing.T) {
	network := k.cluster
	k.cluster.proxy = "10.99.0.0/16"
	k.applyKubeadm(t)
	for _, n := range k.nodes {
		k.expectProblemWithin(t, kubeProxyLimit, n, "kube-proxy", "10.99.0.0/16", network.pods[0])
	}
	k.cluster = network
	k.applyKubeadm(t)
	for _, n := range k.nodes {
		k.expectNoProblemWithin(t, kubeProxyLimit, n, "10.99.0.0/16")
	}
}
