package kubernetes

import (
	"maps"
	"net"
	"strings"
	"testing"
	"time"

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

// twoFamilies is pods that reach each other by both of their addresses, without NAT.
func (k *kube) twoFamilies(t *testing.T) {
	f := k.flood(t, k.nodes...)
	ends := k.ends(t, k.nodes...)
	for _, p := range ends {
		if len(p.addresses) != 2 || !strings.HasPrefix(p.addresses[1], "fd00:5:") {
			t.Fatalf("%s has the addresses %v", p.name, p.addresses)
		}
		for _, q := range ends {
			for family, address := range q.addresses {
				expectSource(t, p.Namespace, net.JoinHostPort(address, "8080"), p.addresses[family])
			}
			in(t, p.Namespace, "ping -6 -c 1 -W 2 "+q.addresses[1])
		}
		for _, n := range k.nodes { // an agent on a node
			fetch(t, n.net, "http://["+p.addresses[1]+"]:8080/hostname")
		}
	}
	f.ExpectNothingLost(t)
}

// A release by Helm and the way back cost not one packet.
func (k *kube) upgradeAndRollback(t *testing.T) {
	f := k.flood(t, k.nodes...)
	k.helm(t, "upgrade", "podlane", chart, "--namespace=podlane", "--reuse-values", "--set=image.tag=v2")
	k.settled(t)
	if tags := k.tags(t); len(tags) != 1 || tags[0] != "v2" {
		t.Errorf("after the upgrade the images are %v", tags)
	}
	k.helm(t, "rollback", "podlane", "--namespace=podlane")
	k.settled(t)
	if tags := k.tags(t); len(tags) != 1 || tags[0] != "v1" {
		t.Errorf("after the rollback the images are %v", tags)
	}
	f.ExpectNothingLost(t)
}

// bridgeNetfilter turns a node's setting for all bridges off. podlaned may not write it in its container. A Service whose
// backend is on the client's own node answers because of the setting of the pods' bridge. The init container writes the
// other setting.
func (k *kube) bridgeNetfilter(t *testing.T) {
	k.kubectl(t, "apply", "-f", "testdata/smoke.yaml")
	k.kubectl(t, "-n", "smoke", "rollout", "status", "daemonset/web", "--timeout=90s", "--request-timeout=0")
	client := k.ends(t, k.nodes[1])[0]
	url := "http://" + k.get(t, "{.spec.clusterIP}", "-n", "smoke", "service", "local") + "/hostname"
	fetch(t, client.Namespace, url)
	if out, err := k.nodes[1].run(t, "sysctl", "-w", "net.bridge.bridge-nf-call-iptables=0"); err != nil {
		t.Fatal(err, out)
	}
	fetch(t, client.Namespace, url)
	k.helm(t, "upgrade", "podlane", chart, "--namespace=podlane", "--reuse-values", "--set=bridgeNetfilter.load=true")
	k.settled(t)
	if out, err := k.nodes[1].run(t, "sysctl", "-n", "net.bridge.bridge-nf-call-iptables"); err != nil || strings.TrimSpace(out) != "1" {
		t.Errorf("net.bridge.bridge-nf-call-iptables is %q, %v", out, err)
	}
	fetch(t, client.Namespace, url)
	k.kubectl(t, "delete", "namespace", "smoke", "--wait=false")
}

// A member of etcd whose node loses its power: the others are a quorum, and it comes back to them.
func (k *kube) memberLost(t *testing.T) {
	k.powerCut(t)
	k.kubectl(t, "-n", "podlane", "rollout", "status", "daemonset/podlane-etcd", "--timeout=120s", "--request-timeout=0")
	for _, n := range k.nodes { // as its readiness probe asks
		if out, err := n.net.Run("curl", "-sS", "--fail", "--max-time", "5", "http://127.0.0.1:12381/readyz"); err != nil {
			t.Error(err, out)
		}
	}
}

// A member of etcd whose disk is lost, and which is replaced as the documentation says.
func (k *kube) memberReplaced(t *testing.T) {
	living, victim := k.nodes[0], k.nodes[2]
	wipe := func() {
		if out, err := victim.run(t, "rm", "-rf", "/var/lib/podlane-etcd/data"); err != nil {
			t.Fatal(err, out)
		}
		k.replace(t, victim, "etcd")
	}
	etcdctl := func(args ...string) string {
		return k.kubectl(t, append([]string{"-n", "podlane", "exec", k.podOn(t, living, "etcd"), "--", "etcdctl", "--endpoints=" + k.etcd,
			"--cacert=/etc/podlane-etcd/ca.crt", "--cert=/etc/podlane-etcd/tls.crt", "--key=/etc/podlane-etcd/tls.key"}, args...)...)
	}
	before := k.subnets(t)
	f := k.flood(t, k.nodes...)
	wipe()
	cluster.Until(t, minute, "the member is not let in", func() (bool, string) {
		out, _ := k.try(t, "-n", "podlane", "logs", k.podOn(t, victim, "etcd"))
		return strings.Contains(out, "has already been bootstrapped"), out
	})
	for line := range strings.Lines(etcdctl("member", "list")) { // id, status, name, ...
		if words := strings.Split(line, ", "); words[2] == victim.name {
			etcdctl("member", "remove", words[0])
		}
	}
	etcdctl("member", "add", victim.name, "--peer-urls=https://"+victim.address+":12380")
	k.kubectl(t, "-n", "podlane", "patch", "configmap", "podlane-etcd", `--patch={"data":{"ETCD_INITIAL_CLUSTER_STATE":"existing"}}`)
	wipe()
	k.kubectl(t, "-n", "podlane", "rollout", "status", "daemonset/podlane-etcd", "--timeout=120s", "--request-timeout=0")
	if list := etcdctl("member", "list"); strings.Count(list, ", started, ") != len(k.nodes) {
		t.Errorf("the members are\n%s", list)
	}
	if now := k.subnets(t); !maps.Equal(now, before) {
		t.Errorf("pod subnets %v, and before %v", now, before)
	}
	f.ExpectNothingLost(t)
}

// uninstall takes podlane away: the pods go on until their node is cleaned up, as the documentation says.
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
		cluster.Until(t, 30*time.Second, n.name+" has nothing of podlane's", func() (bool, string) {
			out, err := n.run(t, "sh", "-c", `found=$(ip -o link show type vxlan; nft list tables | grep podlane; ls -d /run/podlane /var/lib/podlane /etc/cni/net.d/* 2>&-)
				echo "$found"; [ -z "$found" ]`)
			return err == nil, out
		})
	}
}
