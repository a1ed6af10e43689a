package kubernetes

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/lab/sandbox"
	"github.com/podlane/podlane/tests/cluster"
)

const (
	server  = "10.89.0.10" // the node of the control plane
	outside = "10.89.0.1"  // neither a node nor a pod; podlane's etcd is here too
	pki     = disks + "/pki"
	minute  = time.Minute
)

// kube is a cluster: the node of the control plane and two more.
type kube struct {
	underlay sandbox.Namespace
	nodes    []*node
	images   []string // archives
}

// start brings up a cluster whose nodes have no pod network yet.
func start(t *testing.T) *kube {
	t.Helper()
	began := time.Now()
	k := &kube{underlay: sandbox.Test(t, "underlay")}
	for i, name := range []string{"cp", "w1", "w2"} {
		k.nodes = append(k.nodes, &node{name: name, address: fmt.Sprintf("10.89.0.%d", 10+i)})
	}
	in(t, k.underlay, "ip link add br0 type bridge")
	in(t, k.underlay, "ip link set br0 up")
	in(t, k.underlay, "ip address add "+outside+"/24 dev br0")
	newAuthority(t, pki).issueAll(t, k.nodes)
	k.images = makeImages(t)
	k.serveOutside(t)
	for _, n := range k.nodes {
		n.install(t, "nftables")
		n.plug(t, k.underlay)
		n.boot(t, k.images)
		t.Cleanup(func() { n.powerOff(t, k.underlay) })
	}
	t.Cleanup(func() {
		if t.Failed() {
			k.tell(t)
		}
	})
	cluster.Until(t, minute, "the API server is ready", func() (bool, string) {
		out, err := k.try(t, "get", "--raw", "/readyz")
		return err == nil, out
	})
	k.kubectl(t, "apply", "-f", "testdata/proxy.yaml")
	cluster.Until(t, 2*minute, "the nodes are known", func() (bool, string) {
		out, err := k.try(t, "get", "nodes", "-o", "name")
		return err == nil && strings.Count(out, "\n") == len(k.nodes), out
	})
	t.Logf("%d nodes after %v", len(k.nodes), time.Since(began).Round(time.Second))
	return k
}

// serveOutside starts what is outside of the cluster: podlane's etcd, and a web server.
func (k *kube) serveOutside(t *testing.T) {
	t.Helper()
	url := "http://" + outside
	k.daemon(t, "etcd", "../../bin/lab", "etcd", "--name", "e", "--data", filepath.Join(disks, "etcd"),
		"--client", url+":2379", "--peer", url+":2380", "--cluster", "e="+url+":2380")
	k.daemon(t, "web", "../../bin/kubernetes/agnhost", "netexec", "--http-port=8080")
}

// daemon runs a command outside of the cluster until the test ends.
func (k *kube) daemon(t *testing.T, name string, command ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(disks, name+".log"))
	cluster.Check(t, err)
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cluster.Check(t, k.underlay.Start(cmd))
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
		log.Close()
	})
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

// get is a field of an object, by a JSON path.
func (k *kube) get(t *testing.T, path string, args ...string) string {
	t.Helper()
	return k.kubectl(t, append(append([]string{"get"}, args...), "-o", "jsonpath="+path)...)
}

// tell logs what an operator would look at.
func (k *kube) tell(t *testing.T) {
	t.Helper()
	for _, args := range []string{"get nodes -o wide", "get pods -A -o wide", "-n podlane describe pods", "get events -A --sort-by=.lastTimestamp",
		"-n podlane logs -l app.kubernetes.io/component=node --all-containers --tail=15 --prefix"} {
		out, _ := k.try(t, strings.Fields(args)...)
		lines := strings.Split(out, "\n")
		t.Logf("kubectl %s:\n%s", args, strings.Join(lines[max(0, len(lines)-60):], "\n"))
	}
}
