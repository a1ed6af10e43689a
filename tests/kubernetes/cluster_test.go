package kubernetes

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/podlane/podlane/lab/sandbox"
	"github.com/podlane/podlane/tests/cluster"
)

const (
	server  = "10.89.0.10" // the node of the control plane
	outside = "10.89.0.1"  // not a node and not a pod
	pki     = disks + "/pki"
	minute  = time.Minute

	outside6 = "fd00:89::1" // outside, and the nodes' default router
)

// kube is a cluster. It has a node with the control plane and two more.
type kube struct {
	cluster  clusterNetwork
	etcd     string // the URL of podlane's etcd, or of one of its members; empty: podlane's store is the API server
	underlay sandbox.Namespace
	nodes    []*node
	images   []string // archives
	stopEtcd func()
}

func newKube(network clusterNetwork, etcd string) *kube {
	k := &kube{cluster: network, etcd: etcd}
	for i, name := range []string{"cp", "w1", "w2"} {
		k.nodes = append(k.nodes, &node{name: name, address: fmt.Sprintf("10.89.0.%d", 10+i), address6: fmt.Sprintf("fd00:89::%d", 10+i)})
	}
	return k
}

// start starts the cluster. Its nodes have no pod network yet.
func (k *kube) start(t *testing.T) {
	t.Helper()
	began := time.Now()
	cluster.Check(t, removeLeftovers()) // of an earlier cluster
	k.underlay = sandbox.Test(t, "underlay")
	runIn(t, k.underlay, "ip link add br0 address 02:00:00:00:00:01 type bridge") // its own address would change with its ports
	runIn(t, k.underlay, "ip link set br0 up")
	runIn(t, k.underlay, "ip address add "+outside+"/24 dev br0")
	runIn(t, k.underlay, "ip address add "+outside6+"/64 dev br0 nodad")
	newAuthority(t, pki).issueAll(t, k.nodes)
	newAuthority(t, etcdPKI).issueEtcd(t, k.nodes)
	k.images = makeImages(t)
	k.startProcess(t, "web", "../../bin/kubernetes/agnhost", "netexec", "--http-port=8080")
	for _, n := range k.nodes {
		n.install(t, k.cluster, "nftables")
		n.plug(t, k.underlay)
		n.boot(t, k.cluster, k.images)
		t.Cleanup(func() { n.powerOff(t, k.underlay) })
	}
	t.Cleanup(func() {
		if t.Failed() {
			k.logCluster(t)
		}
	})
	cluster.Until(t, minute, "the API server is ready", func() (bool, string) {
		out, err := k.try(t, "get", "--raw", "/readyz")
		return err == nil, out
	})
	k.kubectl(t, "apply", "-f", "testdata/proxy.yaml")
	k.applyKubeadm(t)
	cluster.Until(t, 2*minute, "all nodes are registered", func() (bool, string) {
		out, err := k.try(t, "get", "nodes", "-o", "name")
		return err == nil && strings.Count(out, "\n") == len(k.nodes), out
	})
	t.Logf("%d nodes after %v", len(k.nodes), time.Since(began).Round(time.Second))
}

// awaitPodNetwork waits until the nodes have podlane's pod network. Pods must be able to use it.
func (k *kube) awaitPodNetwork(t *testing.T) {
	t.Helper()
	began := time.Now()
	k.awaitRollout(t)
	k.kubectl(t, "apply", "-f", "testdata/coredns.yaml")
	k.kubectl(t, "wait", "--for=condition=Ready", "node", "--all", "--timeout=120s", "--request-timeout=0")
	k.kubectl(t, "-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=120s", "--request-timeout=0")
	t.Logf("nodes and DNS are ready %v later", time.Since(began).Round(time.Second))
	for _, n := range k.nodes {
		k.expectCondition(t, n)
	}
}

// startProcess runs a command outside the cluster, until end is called or the test ends.
func (k *kube) startProcess(t *testing.T, name string, command ...string) (end func()) {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(disks, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	cluster.Check(t, err)
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cluster.Check(t, k.underlay.Start(cmd))
	end = sync.OnceFunc(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
		log.Close()
	})
	t.Cleanup(end)
	return end
}

// try runs kubectl on the node of the control plane.
func (k *kube) try(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return k.nodes[0].net.Run("../../bin/kubernetes/kubectl", append([]string{"--kubeconfig", pki + "/admin.kubeconfig", "--request-timeout=30s"}, args...)...)
}

func (k *kube) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := k.try(t, args...)
	cluster.Check(t, err)
	return strings.TrimSpace(out)
}

// get returns a field of an object by its JSON path.
func (k *kube) get(t *testing.T, path string, args ...string) string {
	t.Helper()
	return k.kubectl(t, append(append([]string{"get"}, args...), "-o", "jsonpath="+path)...)
}

// logCluster logs what an operator would read.
func (k *kube) logCluster(t *testing.T) {
	t.Helper()
	for _, args := range []string{"get nodes -o wide", "describe nodes", "get pods -A -o wide", "-n podlane describe pods", "get events -A --sort-by=.lastTimestamp",
		"-n podlane logs -l app.kubernetes.io/component=node --all-containers --tail=15 --prefix"} {
		out, _ := k.try(t, strings.Fields(args)...)
		lines := strings.Split(out, "\n")
		t.Logf("kubectl %s:\n%s", args, strings.Join(lines[max(0, len(lines)-60):], "\n"))
	}
}
