package kubernetes

import (
	"net"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/podlane/podlane/tests/cluster"
)

const chart = "../../dist/kubernetes/chart"

// helm runs helm on the node of the control plane.
func (k *kube) helm(t *testing.T, args ...string) string {
	t.Helper()
	home := t.TempDir()
	out, err := k.nodes[0].net.Run("env", append([]string{"KUBECONFIG=" + pki + "/admin.kubeconfig", "HOME=" + home, "../../bin/helm"}, args...)...)
	cluster.Check(t, err)
	return strings.TrimSpace(out)
}

// twoFamilies expects that pods reach each other by both of their addresses, without NAT.
func (k *kube) twoFamilies(t *testing.T) {
	f := k.flood(t, k.nodes...)
	pods := k.trafficPods(t, k.nodes...)
	for _, p := range pods {
		if len(p.addresses) != 2 || !strings.Contains(p.addresses[1], ":") {
			t.Fatalf("%s: addresses %v, want one of each family", p.name, p.addresses)
		}
		for _, q := range pods {
			for family, address := range q.addresses {
				expectSource(t, p.Namespace, net.JoinHostPort(address, "8080"), p.addresses[family])
			}
			runIn(t, p.Namespace, "ping -6 -c 1 -W 2 "+q.addresses[1])
		}
		for _, n := range k.nodes { // as an agent on a node
			fetch(t, n.net, "http://["+p.addresses[1]+"]:8080/hostname")
		}
	}
	f.ExpectNothingLost(t)
}

// metrics lets pods reach a listener of the nodes that has only /metrics.
func (k *kube) metrics(t *testing.T) {
	k.helm(t, "upgrade", "podlane", chart, "--namespace=podlane", "--reuse-values", "--set=metrics=:"+metricsPort)
	k.awaitRollout(t)
	k.scrape(t)
}

// An upgrade by Helm and its rollback lose no packet.
func (k *kube) upgradeAndRollback(t *testing.T) {
	f := k.flood(t, k.nodes...)
	k.helm(t, "upgrade", "podlane", chart, "--namespace=podlane", "--reuse-values", "--set=image.tag=v2")
	k.awaitRollout(t)
	if tags := k.tags(t); len(tags) != 1 || tags[0] != "v2" {
		t.Errorf("images after the upgrade: %v, want v2", tags)
	}
	k.helm(t, "rollback", "podlane", "--namespace=podlane")
	k.awaitRollout(t)
	if tags := k.tags(t); len(tags) != 1 || tags[0] != "v1" {
		t.Errorf("images after the rollback: %v, want v1", tags)
	}
	f.ExpectNothingLost(t)
}

// bridgeNetfilter disables a node's setting for all bridges, which podlaned may not write in its container. A Service
// with a backend on the client's own node still answers. The setting of the pods' bridge is enough. The init container
// writes the setting for all bridges.
func (k *kube) bridgeNetfilter(t *testing.T) {
	k.kubectl(t, "apply", "-f", "testdata/smoke.yaml")
	k.kubectl(t, "-n", "smoke", "rollout", "status", "daemonset/web", "--timeout=90s", "--request-timeout=0")
	client := k.trafficPods(t, k.nodes[1])[0]
	url := "http://" + k.get(t, "{.spec.clusterIP}", "-n", "smoke", "service", "local") + "/hostname"
	fetch(t, client.Namespace, url)
	if out, err := k.nodes[1].run(t, "sysctl", "-w", "net.bridge.bridge-nf-call-iptables=0"); err != nil {
		t.Fatal(err, out)
	}
	fetch(t, client.Namespace, url)
	k.helm(t, "upgrade", "podlane", chart, "--namespace=podlane", "--reuse-values", "--set=bridgeNetfilter.load=true")
	k.awaitRollout(t)
	if out, err := k.nodes[1].run(t, "sysctl", "-n", "net.bridge.bridge-nf-call-iptables"); err != nil || strings.TrimSpace(out) != "1" {
		t.Errorf("net.bridge.bridge-nf-call-iptables: got %q, error %v; want 1", out, err)
	}
	fetch(t, client.Namespace, url)
	k.kubectl(t, "delete", "namespace", "smoke", "--wait=false")
}

// The node of an etcd member loses its power. The other members are a quorum. The member comes back.
func (k *kube) memberLost(t *testing.T) {
	k.powerCut(t)
	k.kubectl(t, "-n", "podlane", "rollout", "status", "daemonset/podlane-etcd", "--timeout=120s", "--request-timeout=0")
	for _, n := range k.nodes { // as its readiness probe does
		if out, err := n.net.Run("curl", "-sS", "--fail", "--max-time", "5", "http://127.0.0.1:12381/readyz"); err != nil {
			t.Error(err, out)
		}
	}
}

// The disk of an etcd member is lost. The member is replaced as documented.
func (k *kube) memberReplaced(t *testing.T) {
	running, lost := k.nodes[0], k.nodes[2]
	wipe := func() {
		if out, err := lost.run(t, "rm", "-rf", "/var/lib/podlane-etcd/data"); err != nil {
			t.Fatal(err, out)
		}
		k.replace(t, lost, "etcd")
	}
	etcdctl := func(args ...string) string {
		return k.kubectl(t, append([]string{"-n", "podlane", "exec", k.podOn(t, running, "etcd"), "--", "etcdctl", "--endpoints=" + k.etcd,
			"--cacert=/etc/podlane-etcd/ca.crt", "--cert=/etc/podlane-etcd/tls.crt", "--key=/etc/podlane-etcd/tls.key"}, args...)...)
	}
	before := k.subnets(t)
	f := k.flood(t, k.nodes...)
	wipe()
	cluster.Until(t, minute, "the member is refused", func() (bool, string) {
		out, _ := k.try(t, "-n", "podlane", "logs", k.podOn(t, lost, "etcd"))
		return strings.Contains(out, "has already been bootstrapped"), out
	})
	for line := range strings.Lines(etcdctl("member", "list")) { // id, status, name, ...
		if words := strings.Split(line, ", "); words[2] == lost.name {
			etcdctl("member", "remove", words[0])
		}
	}
	etcdctl("member", "add", lost.name, "--peer-urls=https://"+lost.address+":12380")
	k.kubectl(t, "-n", "podlane", "patch", "configmap", "podlane-etcd", `--patch={"data":{"ETCD_INITIAL_CLUSTER_STATE":"existing"}}`)
	wipe()
	k.kubectl(t, "-n", "podlane", "rollout", "status", "daemonset/podlane-etcd", "--timeout=120s", "--request-timeout=0")
	if list := etcdctl("member", "list"); strings.Count(list, ", started, ") != len(k.nodes) {
		t.Errorf("want %d started members:\n%s", len(k.nodes), list)
	}
	if diff := gocmp.Diff(before, k.subnets(t)); diff != "" {
		t.Errorf("pod subnets (-before +now):\n%s", diff)
	}
	f.ExpectNothingLost(t)
}

// uninstall uninstalls podlane. The pods go on until their node is cleaned up, as in the documentation.
func (k *kube) uninstall(t *testing.T) {
	f := k.flood(t, k.nodes...)
	t.Log(k.helm(t, "uninstall", "podlane", "--namespace=podlane", "--wait"))
	cluster.Until(t, minute, "podlane's pods are gone", func() (bool, string) {
		out := k.kubectl(t, "-n", "podlane", "get", "pods", "-o", "name")
		return out == "", out
	})
	f.ExpectNothingLost(t)
	for _, n := range k.nodes {
		k.kubectl(t, "debug", "node/"+n.name, "--image="+podlane+":v1", "--profile=sysadmin", "--", "/usr/bin/podlaned", "cleanup",
			"--run-dir=/host/run/podlane", "--state-dir=/host/var/lib/podlane", "--cni-conf=/host/etc/cni/net.d/10-podlane.conflist")
		cluster.Until(t, 30*time.Second, n.name+" has nothing of podlane", func() (bool, string) {
			out, err := n.run(t, "sh", "-c", `found=$(ip -o link show type vxlan; nft list tables | grep podlane; ls -d /run/podlane /var/lib/podlane /etc/cni/net.d/* 2>&-)
				echo "$found"; [ -z "$found" ]`)
			return err == nil, out
		})
	}
}
