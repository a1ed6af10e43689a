package kubestore

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/lab/apiserver"
	"github.com/podlane/podlane/tests/cluster"
)

// reportTime is how long it may take until a fault is visible on the Node, or that it is over.
const reportTime = 30 * time.Second

// confFolder is a folder of CNI configurations. The sandbox has a /run of its own.
const confFolder = "/run/report/net.d"

// What is wrong at the first installation is visible in the Node's condition and Events within 30 s, in words. It goes when it is
// over. podlaned of n1 has no network configuration, then no podCIDR, and then another CNI and kube-proxy's clusterCIDR disturb
// its pods. n2 has an etcd that is away. podlaned of n3 is not started. At first podlane-kube may not write Events: the feed works anyway.
func TestFirstInstallationReportsWhatIsWrong(t *testing.T) {
	l := cluster.Build(t, lab.Options{Nodes: 3, Kubernetes: true, NodeEnv: func(i int) []string {
		if i == 2 {
			return []string{"PODLANE_STORE=etcd", "PODLANE_ETCD_ENDPOINTS=http://198.18.0.1:2379"}
		}
		return []string{"PODLANE_CNI_CONF=" + filepath.Join(confFolder, fmt.Sprintf("n%d", i), "10-podlane.conflist")}
	}})
	n1, n2, n3 := l.Nodes[0], l.Nodes[1], l.Nodes[2]
	other := filepath.Join(confFolder, "n1", "05-other.conflist")
	for _, folder := range []string{"n1", "n3"} {
		cluster.Check(t, os.MkdirAll(filepath.Join(confFolder, folder), 0o755))
	}
	cluster.Check(t, os.WriteFile(other, []byte("{}"), 0o644))
	cluster.Check(t, l.SetNetworkFile("{}"))
	l.API.SetConfigMap("kube-system", "kube-proxy", "config.conf", "clusterCIDR: 10.244.0.0/16\nmode: nftables\n")
	l.API.Deny("create events")
	for _, n := range l.Nodes {
		l.API.SetNode(n.Name)
		cluster.Check(t, n.SetKubeconfig(l.API.Kubeconfig(nil, "")))
		cluster.Check(t, n.LaunchFeeder(cluster.Within(t)))
	}
	cluster.Check(t, n1.Launch(cluster.Within(t)))
	cluster.Check(t, n2.Launch(cluster.Within(t)))

	awaitCondition(t, l, n1, "no pod network is set: ")
	awaitCondition(t, l, n2, "etcd: etcd does not answer at http://198.18.0.1:2379")
	awaitCondition(t, l, n3, "podlaned: it does not answer: ")
	awaitCondition(t, l, n1, "Events: create an Event of the Node: podlane-kube has no right")
	if calls := l.API.Calls("create events"); calls > 50 {
		t.Errorf("%d refused attempts to create an Event, want at most 50", calls)
	}
	cluster.Check(t, l.SetNetworkFile(lab.DefaultConfig))
	cluster.AwaitStatus(t, n1, soon, "the feed works", func(s cluster.Status) bool { return strings.Contains(strings.Join(s.Problems, ""), "no podCIDR") })

	l.API.Deny()
	awaitEvent(t, l, n3, "Warning", "NetworkConfiguration", "network configuration: ") // on n1, podlaned reports the same text
	awaitEvent(t, l, n2, "Warning", "Etcd", "etcd does not answer at http://198.18.0.1:2379")
	awaitEvent(t, l, n3, "Warning", "Podlaned", "podlaned: it does not answer: ")
	awaitEvent(t, l, n1, "Warning", "Kubernetes", "no pod network is set")
	awaitCondition(t, l, n1, "kubernetes: the Node n1 has no podCIDR") // an Event is written only when a kind of problem begins

	for _, n := range []*lab.Node{n1, n3} {
		l.API.SetNode(n.Name, l.PodCIDRs(n.Index)...)
	}
	cluster.Check(t, n3.Launch(cluster.Within(t)))
	const differs = "clusterCIDR 10.244.0.0/16 differs from podlane's Network 10.5.0.0/16"
	awaitProblem(t, l, n1, "KubeProxy", differs)
	awaitProblem(t, l, n1, "OtherCNI", "05-other.conflist comes before 10-podlane.conflist")

	cluster.Check(t, os.Remove(other))
	l.API.SetConfigMap("kube-system", "kube-proxy", "config.conf", "clusterCIDR: 10.5.0.0/16\nmode: nftables\n")
	for _, n := range []*lab.Node{n1, n3} {
		cluster.Until(t, reportTime+soon, n.Name+" has no problem", func() (bool, string) {
			c := l.API.Condition(n.Name, "PodNetworkProblem")
			return c.Status == "False" && c.Reason == "NoProblem", fmt.Sprintf("%+v", c)
		})
	}
	awaitEvent(t, l, n1, "Normal", "KubeProxy", differs)
	awaitEvent(t, l, n1, "Normal", "OtherCNI", "recovered; it was: 05-other.conflist")
	awaitEvent(t, l, n1, "Normal", "Kubernetes", "has no podCIDR")
	awaitEvent(t, l, n3, "Normal", "Podlaned", "recovered")
	if !n2.Running() {
		t.Error("podlaned ended because its etcd is away")
	}
}

// A setting of etcd, such as one that was left over, does not stop podlaned.
func TestSettingOfTheOtherStoreIsReported(t *testing.T) {
	l := cluster.Start(t, lab.Options{Nodes: 1, Kubernetes: true, NodeEnv: func(int) []string {
		return []string{"PODLANE_ETCD_ENDPOINTS=http://198.18.0.1:2379"}
	}}, 0)
	n := l.Nodes[0]
	const want = "settings: two stores at once: store is kubernetes, and etcd-endpoints is set for etcd and has no effect; remove one of them"
	cluster.AwaitStatus(t, n, soon, "it is ready, with the problem", func(s cluster.Status) bool {
		return s.Ready && slices.Equal(s.Problems, []string{want})
	})
	awaitProblem(t, l, n, "Settings", want)
}

// awaitProblem waits until the Node's condition PodNetworkProblem has a text, and a Warning of the Node has it too.
func awaitProblem(t *testing.T, l *lab.Lab, n *lab.Node, reason, text string) {
	t.Helper()
	awaitCondition(t, l, n, text)
	awaitEvent(t, l, n, "Warning", reason, text)
}

// awaitCondition waits until the condition PodNetworkProblem of a Node is True and has all the texts.
func awaitCondition(t *testing.T, l *lab.Lab, n *lab.Node, texts ...string) {
	t.Helper()
	took := cluster.Until(t, reportTime, fmt.Sprintf("the condition of %s has %q", n.Name, texts), func() (bool, string) {
		c := l.API.Condition(n.Name, "PodNetworkProblem")
		missing := slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(c.Message, text) })
		return c.Status == "True" && !missing, fmt.Sprintf("%+v", c)
	})
	t.Logf("%s: %q visible after %v", n.Name, texts, took)
}

// awaitEvent waits until the API server has an Event of a Node.
func awaitEvent(t *testing.T, l *lab.Lab, n *lab.Node, kind, reason, text string) {
	t.Helper()
	cluster.Until(t, reportTime, fmt.Sprintf("%s has the Event %s %s: %s", n.Name, kind, reason, text), func() (bool, string) {
		events := l.API.Events()
		found := slices.ContainsFunc(events, func(e apiserver.Event) bool {
			return e.Namespace == "default" && e.Type == kind && e.Reason == reason && strings.Contains(e.Message, text) &&
				e.InvolvedObject.Kind == "Node" && e.InvolvedObject.Name == n.Name
		})
		return found, fmt.Sprintf("%+v", events)
	})
}
