package kubernetes

import (
	"strings"
	"testing"

	"github.com/podlane/podlane/tests/cluster"
)

// clusterNetwork is how the network of a cluster was set up, as by `kubeadm init`.
type clusterNetwork struct {
	// pods are the pods' ranges, one of each family. kube-controller-manager assigns a part of each to every Node. None:
	// the cluster was made without a pod network, so Nodes get no podCIDR.
	pods []string
	// proxy is kube-proxy's clusterCIDR; empty: pods.
	proxy string
	// two reports whether Nodes and Services have addresses of both families.
	two bool
}

var (
	// oneFamily has room for 4,096 Nodes.
	oneFamily   = clusterNetwork{pods: []string{"10.240.0.0/12"}}
	twoFamilies = clusterNetwork{pods: []string{"10.244.0.0/16", "fd00:244::/56"}, two: true}
	// otherThanPodlane is for the store etcd: podlane does not use the podCIDRs.
	otherThanPodlane = clusterNetwork{pods: []string{"10.244.0.0/16"}, proxy: "10.5.0.0/16"}
	noPodNetwork     = clusterNetwork{}
)

func (c clusterNetwork) services() string {
	if c.two {
		return "10.96.0.0/16,fd00:96::/112"
	}
	return "10.96.0.0/16"
}

func (c clusterNetwork) nodeAddresses(n *node) string {
	if c.two {
		return n.address + "," + n.address6
	}
	return n.address
}

func (c clusterNetwork) proxied() string {
	if c.proxy != "" {
		return c.proxy
	}
	return strings.Join(c.pods, ",")
}

func (c clusterNetwork) controllerFlags() string {
	if len(c.pods) == 0 {
		return "--allocate-node-cidrs=false"
	}
	return "--allocate-node-cidrs=true --cluster-cidr=" + strings.Join(c.pods, ",")
}

// kubeadmMaps are the ConfigMaps of kubeadm that a network plugin may read.
const kubeadmMaps = `apiVersion: v1
kind: ConfigMap
metadata: {name: kubeadm-config, namespace: kube-system}
data:
  ClusterConfiguration: |
    apiVersion: kubeadm.k8s.io/v1beta4
    kind: ClusterConfiguration
    clusterName: kubernetes
    kubernetesVersion: v1.35.4
    networking:
      dnsDomain: cluster.local
PODS      serviceSubnet: SERVICES
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kube-proxy, namespace: kube-system, labels: {app: kube-proxy}}
data:
  config.conf: |
    apiVersion: kubeproxy.config.k8s.io/v1alpha1
    kind: KubeProxyConfiguration
    clusterCIDR: "PROXY"
    mode: ""
`

// applyKubeadm writes kubeadm's ConfigMaps.
func (k *kube) applyKubeadm(t *testing.T) {
	t.Helper()
	pods := ""
	if len(k.cluster.pods) > 0 {
		pods = "      podSubnet: " + strings.Join(k.cluster.pods, ",") + "\n"
	}
	text := strings.NewReplacer("PODS", pods, "SERVICES", k.cluster.services(), "PROXY", k.cluster.proxied()).Replace(kubeadmMaps)
	k.applyText(t, "kubeadm.yaml", text)
}

// allocate makes kube-controller-manager assign podCIDRs as the cluster's network wants.
func (k *kube) allocate(t *testing.T) {
	t.Helper()
	first := k.nodes[0]
	cluster.Check(t, writeFile(first.disk("controller-manager.flags"), k.cluster.controllerFlags()))
	first.kill(t, "kube-controller-manager")
}
