package flannel

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// The families, as indexes of lists: first IPv4.
const (
	ipv4 = iota
	ipv6
)

// kubeBed is a cluster whose leases are annotations of Nodes. No kubelet runs.
type kubeBed struct {
	*bed
	api      apiServer
	families []int  // that are on
	prefix   string // of the annotations' keys
}

// kubeNetwork is a network in kube mode.
type kubeNetwork struct {
	name, config string
	families     []int
	prefix       string // flannel's --kube-annotation-prefix
	keys         string // the prefix of the keys that this means
}

// makeKubeBed makes a cluster beside the lab's API server, or beside a kube-apiserver in a folder.
func makeKubeBed(t *testing.T, folder string, network kubeNetwork) *kubeBed {
	t.Helper()
	b := &kubeBed{families: network.families, prefix: network.keys}
	b.bed = newBed(t, lab.Options{IPv6: slices.Contains(b.families, ipv6), Kubernetes: true, NodeEnv: func(int) []string {
		return []string{"PODLANE_ANNOTATION_PREFIX=" + network.prefix}
	}})
	b.api = inMemory{b.API}
	if folder != "" {
		address, _, err := net.SplitHostPort(b.API.Address())
		cluster.Check(t, err)
		b.api = startKubeAPIServer(t, filepath.Join(folder, "kube-apiserver"), address)
	}
	cluster.Check(t, b.SetNetworkFile(network.config))
	for _, n := range b.Nodes {
		var podCIDRs []string
		for _, f := range b.families {
			podCIDRs = append(podCIDRs, b.PodCIDRs(n.Index)[f])
		}
		b.api.createNode(t, n.Name, podCIDRs...)
		cluster.Check(t, n.SetKubeconfig(b.api.kubeconfig("podlane")))
	}
	for i, n := range b.flannel {
		conf, kubeconfig := n.file("net-conf.json"), n.file("flannel.kubeconfig")
		cluster.Check(t, os.WriteFile(conf, []byte(network.config), 0o600))
		cluster.Check(t, os.WriteFile(kubeconfig, b.api.kubeconfig("flannel"), 0o600))
		n.args = []string{"--kube-subnet-mgr", "--kubeconfig-file=" + kubeconfig, "--net-config-path=" + conf, "--kube-annotation-prefix=" + network.prefix}
		n.env = []string{"NODE_NAME=" + n.Name}
		b.startPodlane(t, b.podlane[i])
		n.start(t)
	}
	b.awaitPeers(t, 3)
	b.addPods(t)
	return b
}

func (b *kubeBed) launchPodlane(t *testing.T, n *lab.Node) {
	t.Helper()
	cluster.Check(t, n.LaunchFeeder(cluster.Within(t)))
	cluster.Check(t, n.Launch(cluster.Within(t)))
}

func (b *kubeBed) startPodlane(t *testing.T, n *lab.Node) {
	t.Helper()
	b.launchPodlane(t, n)
	cluster.Check(t, n.Ready(cluster.Within(t)))
}

// stopPodlane ends podlane on a node. podlaned may have ended by itself.
func (b *kubeBed) stopPodlane(t *testing.T, n *lab.Node) {
	t.Helper()
	b.stopFeeder(t, n)
	if n.Running() {
		cluster.Stop(t, n)
	}
}

func (b *kubeBed) stopFeeder(t *testing.T, n *lab.Node) {
	t.Helper()
	if code, err := n.StopFeeder(cluster.Within(t)); code != 0 || err != nil {
		t.Errorf("stop podlane-kube on %s: exit code %d, error %v; want 0", n.Name, code, err)
	}
}

func TestAPIServerInMemory(t *testing.T) { testKubernetes(t, "") }

// TestKubeAPIServer is TestAPIServerInMemory with a kube-apiserver, which checks the rights of both.
func TestKubeAPIServer(t *testing.T) {
	if kubernetes == "" { // TestMain has printed that
		return
	}
	testKubernetes(t, kubernetes)
}

func testKubernetes(t *testing.T, folder string) {
	const usual = "flannel.alpha.coreos.com"
	for _, network := range []kubeNetwork{
		{"IPv4", lab.DefaultConfig, []int{ipv4}, usual, usual + "/"},
		{"two families", cluster.DualStack, []int{ipv4, ipv6}, usual, usual + "/"},
		{"IPv6 and another prefix", `{"EnableIPv4": false, "EnableIPv6": true, "IPv6Network": "fd00:5::/48", "Backend": {"Type": "vxlan"}}`,
			[]int{ipv6}, "example.org/blue", "example.org/blue-"},
	} {
		t.Run(network.name, func(t *testing.T) {
			b := makeKubeBed(t, folder, network)
			podlane := nodeKind{b.startPodlane, b.stopPodlane}
			runSteps(t,
				step{"every pod reaches every pod", b.everyPod},
				step{"conditions", b.conditions},
				step{"podlaned restarts", b.podlanedRestarts},
				step{"podlane-kube restarts", b.feederRestarts},
				step{"flanneld restarts", b.flanneldRestarts},
				step{"the device of a flannel node is deleted", b.deviceDeleted},
				step{"the device of flannel remains on a podlane node", func(t *testing.T) { b.deviceRemains(t, nodeKind{b.launchPodlane, b.stopPodlane}) }},
				step{"a flannel node becomes a podlane node and a flannel node again", func(t *testing.T) { b.flannelNodeChanges(t, podlane) }},
				step{"the API server is away", b.apiServerAway},
				step{"public addresses are overwritten", b.publicAddresses},
				step{"a flannel node is deleted", b.flannelNodeDeleted},
				step{"a podlane node is deleted", b.podlaneNodeDeleted},
			)
		})
	}
}

// Both kinds report the network of their Node.
func (b *kubeBed) conditions(t *testing.T) {
	for _, n := range b.Nodes {
		cluster.Until(t, soon, n.Name+": the network is available", func() (bool, string) {
			for _, c := range b.api.node(t, n.Name).Conditions {
				if c.Type == "NetworkUnavailable" {
					return c.Status == "False" && (n.Index <= 2 || c.Reason == "FlannelIsUp"), fmt.Sprint(c)
				}
			}
			return false, "no condition"
		})
	}
}

// podlane-kube ends by SIGTERM and by SIGKILL.
func (b *kubeBed) feederRestarts(t *testing.T) {
	flood, n := startFlood(t, b.firsts()...), b.podlane[0]
	b.stopFeeder(t, n)
	cluster.Check(t, n.LaunchFeeder(cluster.Within(t)))
	cluster.Check(t, n.KillFeeder())
	cluster.Check(t, n.LaunchFeeder(cluster.Within(t)))
	b.awaitPeers(t, 3)
	flood.ExpectNothingLost(t)
}

// podlane starts again while the API server is away. It uses its saved state.
func (b *kubeBed) apiServerAway(t *testing.T) {
	flood, n := startFlood(t, b.firsts()...), b.podlane[0]
	cluster.AwaitSaved(t, []*lab.Node{n}, b.keys(t)...)
	b.api.stop(t)
	b.stopPodlane(t, n)
	b.launchPodlane(t, n)
	cluster.Until(t, soon, "pods can be attached", func() (bool, string) {
		code, body, err := cluster.TryGet(cluster.Within(t), n, "/readyz/attach?verbose")
		return code == 200, fmt.Sprint(body, err)
	})
	expectFlat(t, b.Nodes, b.all())
	b.api.start(t)
	cluster.AwaitPeers(t, b.Lab, time.Minute, 3) // podlane-kube tries again after up to 30 s
	b.awaitPeers(t, 3)
	flood.ExpectNothingLost(t)
}

// keys returns the pod subnets of all nodes, as keys of leases.
func (b *kubeBed) keys(t *testing.T) (keys []string) {
	t.Helper()
	for _, n := range b.podlane {
		keys = append(keys, cluster.SubnetText(t, n))
	}
	for _, n := range b.flannel {
		keys = append(keys, n.key(t))
	}
	return keys
}

// A Node is deleted while flanneld runs. Both kinds of nodes forget it.
func (b *kubeBed) flannelNodeDeleted(t *testing.T) {
	n := b.flannel[0]
	flood := startFlood(t, b.firsts("n1", "n2", "n4")...)
	b.api.deleteNode(t, n.Name)
	took := cluster.AwaitStatus(t, b.podlane[0], 5*time.Second, "the peer is removed", func(s cluster.Status) bool { return len(s.Peers) == 2 })
	t.Logf("podlane has removed the peer after %v", took)
	n.daemon.stop(t, syscall.SIGTERM)
	b.awaitPeers(t, 2)
	flood.ExpectNothingLost(t)
	delete(b.pods, n.Name)
	expectFlat(t, []*lab.Node{b.Nodes[0], b.Nodes[1], b.Nodes[3]}, b.all())
}

// podlane leaves a node, and the Node is deleted.
func (b *kubeBed) podlaneNodeDeleted(t *testing.T) {
	n := b.podlane[0]
	flood := startFlood(t, b.firsts("n2", "n4")...)
	b.stopPodlane(t, n)
	cluster.Run(t, n.Place, "podlaned cleanup")
	b.api.deleteNode(t, n.Name)
	b.awaitPeers(t, 1)
	flood.ExpectNothingLost(t)
}
