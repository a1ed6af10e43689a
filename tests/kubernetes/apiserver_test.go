package kubernetes

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/tests/cluster"
)

// serviceOfAPI is the address that podlane-kube uses for the API server. The kubelets use the server's own.
const serviceOfAPI = "10.96.0.1"

// readiness returns what podlaned on a node reports at an endpoint. The error reports that it is not ready.
func (n *node) readiness(path string) (string, error) {
	return n.net.Run("curl", "-sS", "--fail-with-body", "--max-time", "2", "http://127.0.0.1:9472"+path)
}

// awaitReady waits until podlaned on all nodes is ready.
func (k *kube) awaitReady(t *testing.T) {
	t.Helper()
	for _, n := range k.nodes {
		cluster.Until(t, 2*minute, "podlaned on "+n.name+" is ready", func() (bool, string) {
			out, err := n.readiness("/readyz")
			return err == nil, out
		})
	}
}

// apiServerAway stops the API server for a minute. A podlaned and a podlane-kube end meanwhile. The kubelet starts them
// again. No pod loses its network, and nothing else has to be done.
func (k *kube) apiServerAway(t *testing.T) {
	before := k.restarts(t)
	f := k.flood(t, k.nodes...)
	began := time.Now()
	start := k.nodes[0].stop(t, "kube-apiserver")
	for _, n := range k.nodes {
		cluster.Until(t, minute, "podlaned on "+n.name+" reports that the API server does not answer", func() (bool, string) {
			out, err := n.readiness("/readyz")
			return err != nil && strings.Contains(out, "[-] kubernetes"), out
		})
	}
	k.nodes[1].kill(t, "podlane-kube")
	k.nodes[2].kill(t, "podlaned")
	cluster.Until(t, minute, "podlaned on "+k.nodes[2].name+" runs again from its saved state", func() (bool, string) {
		out, err := k.nodes[2].readiness("/readyz/attach")
		return err == nil, out
	})
	cluster.Until(t, 2*minute, "a minute is over", func() (bool, string) {
		for _, n := range k.nodes {
			if out, err := n.readiness("/readyz/attach"); err != nil {
				t.Fatalf("%s: pods can not be attached while the API server is away: %s", n.name, out)
			}
		}
		return time.Since(began) > minute, ""
	})
	start()
	t.Logf("the API server was away for %v", time.Since(began).Round(time.Second))
	cluster.Until(t, minute, "the API server is ready", func() (bool, string) {
		out, err := k.try(t, "get", "--raw", "/readyz")
		return err == nil, out
	})
	k.awaitReady(t)
	k.awaitRollout(t)
	before[k.nodes[1].name+" podlane-kube"]++
	before[k.nodes[2].name+" podlaned"]++
	k.expectRestarts(t, before)
	f.ExpectNothingLost(t)
}

// restarts returns how often the containers of podlane's pods were restarted, by node and container.
func (k *kube) restarts(t *testing.T) map[string]int {
	t.Helper()
	count := map[string]int{}
	for _, n := range k.nodes {
		for line := range strings.Lines(k.get(t, `{range .status.containerStatuses[*]}{.name} {.restartCount}{"\n"}{end}`, "-n", "podlane", "pod", k.podOn(t, n, "node"))) {
			var name string
			var times int
			if _, err := fmt.Sscan(line, &name, &times); err == nil {
				count[n.name+" "+name] = times
			}
		}
	}
	return count
}

// expectRestarts waits until the containers were restarted this often, and not more.
func (k *kube) expectRestarts(t *testing.T, want map[string]int) {
	t.Helper()
	cluster.Until(t, minute, fmt.Sprint("restarts: ", want), func() (bool, string) {
		now := k.restarts(t)
		for container, times := range now {
			if times > want[container] {
				t.Fatalf("restarts of the containers: %v, want %v", now, want)
			}
		}
		return fmt.Sprint(now) == fmt.Sprint(want), fmt.Sprint(now)
	})
}

// cutStore makes podlane's store unreachable for podlane on all nodes, until the returned function is called. The rest of
// Kubernetes works on.
func (k *kube) cutStore(t, whole *testing.T) (restore func()) {
	t.Helper()
	if k.etcd != "" {
		k.stopEtcd()
		return func() { k.stopEtcd = k.serveEtcd(whole) }
	}
	for _, n := range k.nodes {
		runIn(t, n.net, "nft add table ip cut")
		runIn(t, n.net, "nft add chain ip cut output { type filter hook output priority raw ; }")
		runIn(t, n.net, "nft add rule ip cut output ip daddr "+serviceOfAPI+" drop")
	}
	return func() {
		for _, n := range k.nodes {
			runIn(t, n.net, "nft delete table ip cut")
		}
	}
}

// storeCheck is the name of the check of podlane's store in /readyz.
func (k *kube) storeCheck() string {
	if k.etcd == "" {
		return "[-] kubernetes"
	}
	return "[-] etcd"
}

// brokenRolloutWithoutStore rolls out an image that crashes while the store does not answer. It must not reach a second
// node. The pods of the other nodes stay ready.
func (k *kube) brokenRolloutWithoutStore(t, whole *testing.T) {
	f := k.flood(t, k.nodes...)
	restore := k.cutStore(t, whole)
	for _, n := range k.nodes {
		k.expectUnready(t, n, true, k.storeCheck())
	}
	k.apply(t, "broken")
	broken := k.awaitBroken(t)
	began := time.Now()
	cluster.Until(t, 2*minute, "45 s later, the image is still only on "+broken, func() (bool, string) {
		if ready := k.get(t, "{.status.numberReady}", "-n", "podlane", "daemonset", "podlane"); ready != "2" {
			t.Fatalf("%s podlane pods are ready, want 2", ready)
		}
		return time.Since(began) > 45*time.Second, ""
	})
	k.rollout(t, "v1")
	restore()
	k.awaitReady(t)
	f.ExpectNothingLost(t)
}
