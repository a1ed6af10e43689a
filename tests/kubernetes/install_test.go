package kubernetes

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/tests/cluster"
)

// noPodCIDR is the first installation on a cluster that was made without a pod network. podlane names the missing
// settings one after the other. Once they are made, nothing else has to be done.
func (k *kube) noPodCIDR(t *testing.T) {
	k.apply(t, "v1")
	for _, n := range k.nodes {
		k.expectProblem(t, n, "no pod network is set", "--set network.Network=")
	}
	k.cluster.pods = oneFamily.pods
	k.applyKubeadm(t)
	k.expectLogs(t, "has no podCIDR")
	for _, n := range k.nodes {
		k.expectProblem(t, n, "has no podCIDR", "--allocate-node-cidrs=true", "kubeadm init --pod-network-cidr="+oneFamily.pods[0])
	}
	k.allocate(t)
	k.awaitPodNetwork(t)
	for _, n := range k.nodes {
		k.expectCured(t, n, "podCIDR")
		k.expectNoRestarts(t, n)
	}
	k.twoWays(t)
}

// noStore is the first installation with an etcd that does not answer. The Nodes and the logs show why. Once it answers,
// nothing else has to be done.
func (k *kube) noStore(t, whole *testing.T) {
	k.createSecrets(t)
	k.apply(t, "v1")
	for _, n := range k.nodes {
		k.expectProblem(t, n, "etcd", "connection refused")
	}
	k.expectLogs(t, "etcd does not answer") // without podlaned, the connection to it is refused, too
	k.stopEtcd = k.serveEtcd(whole)
	k.awaitPodNetwork(t)
	for _, n := range k.nodes {
		k.expectCured(t, n, "connection refused")
		k.expectNoRestarts(t, n)
	}
	k.twoWays(t)
}

// twoWays expects that pods of all nodes reach each other.
func (k *kube) twoWays(t *testing.T) {
	t.Helper()
	f := k.flood(t, k.nodes...)
	f.ExpectFlow(t, 5*time.Second)
	f.ExpectNothingLost(t)
}

// logCommand returns the command of the documentation that prints the logs.
func logCommand(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/kubernetes.md")
	cluster.Check(t, err)
	_, after, _ := strings.Cut(string(text), "\n## Find problems\n")
	for line := range strings.Lines(after) {
		if command, isCommand := strings.CutPrefix(line, "kubectl "); isCommand && strings.Contains(command, " logs ") {
			command, _, _ = strings.Cut(command, "#")
			return strings.Fields(command)
		}
	}
	t.Fatal("docs/kubernetes.md has no command that prints the logs")
	return nil
}

// expectLogs starts podlane's pods 12 times. Each time, as soon as they have reported a problem, the documented command
// must show it. The API server gives no log of a pod that it does not know to be running, and the kubelet reports that later.
func (k *kube) expectLogs(t *testing.T, words ...string) {
	t.Helper()
	const tries = 12
	command := logCommand(t)
	shown := 0
	for range tries {
		k.kubectl(t, "-n", "podlane", "delete", "pods", "-l", "app.kubernetes.io/component=node", "--request-timeout=0")
		for _, n := range k.nodes {
			cluster.Until(t, minute, "podlaned on "+n.name+" reports the problem", func() (bool, string) {
				out, err := n.readiness("/readyz")
				return err != nil && containsAll(out, words), out
			})
		}
		cluster.Until(t, minute, "the pods run, as the kubelet has reported", func() (bool, string) {
			out := k.kubectl(t, "-n", "podlane", "get", "pods", "-l", "app.kubernetes.io/component=node", "-o", "jsonpath={.items[*].status.phase}")
			return out == strings.TrimSpace(strings.Repeat("Running ", len(k.nodes))), out
		})
		out, err := k.try(t, command...)
		if err == nil && containsAll(out, words) {
			shown++
			continue
		}
		t.Logf("kubectl %s: %v:\n%s", strings.Join(command, " "), err, out)
	}
	t.Logf("kubectl %s: the reason was shown in %d of %d tries", strings.Join(command, " "), shown, tries)
	if shown != tries {
		t.Errorf("the reason was shown in %d of %d tries", shown, tries)
	}
}
