package main

import (
	"fmt"
	"net/netip"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/podlane/podlane/subnet"
)

// kubeadm writes kube-proxy's configuration to this key of the ConfigMap kube-proxy in kube-system.
const (
	kubeProxyNamespace = "kube-system"
	kubeProxyName      = "kube-proxy"
	kubeProxyKey       = "config.conf"
)

// clusterCIDRs returns the clusterCIDR of kube-proxy's configuration: at most one prefix of each family. It is zero if kube-proxy
// does not use it: it is empty, or detectLocalMode is another mode than ClusterCIDR.
func clusterCIDRs(config string) (p subnet.Pair, err error) {
	var c struct {
		ClusterCIDR     string `yaml:"clusterCIDR"`
		DetectLocalMode string `yaml:"detectLocalMode"`
	}
	if err := yaml.Unmarshal([]byte(config), &c); err != nil {
		return p, fmt.Errorf("the ConfigMap %s/%s, key %s: %w", kubeProxyNamespace, kubeProxyName, kubeProxyKey, err)
	}
	if c.DetectLocalMode != "" && c.DetectLocalMode != "ClusterCIDR" {
		return p, nil
	}
	for text := range strings.SplitSeq(c.ClusterCIDR, ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return subnet.Pair{}, fmt.Errorf("the ConfigMap %s/%s: clusterCIDR %.60q is not a CIDR", kubeProxyNamespace, kubeProxyName, text)
		}
		if prefix = prefix.Masked(); prefix.Addr().Is4() {
			p.IPv4 = prefix
		} else {
			p.IPv6 = prefix
		}
	}
	return p, nil
}

// clusterCIDRFault returns why kube-proxy's clusterCIDR does not match the pod network, or nothing. A family that only one of
// them has is not a fault.
func clusterCIDRFault(cluster, network subnet.Pair) string {
	for _, f := range subnet.Families {
		have, want := cluster.Half(f), network.Half(f)
		if !have.IsValid() || !want.IsValid() || have == want {
			continue
		}
		return fmt.Sprintf("clusterCIDR %s differs from podlane's Network %s: kube-proxy treats pods as clients outside the cluster, and masquerades their connections to Services; "+
			"correct clusterCIDR in the ConfigMap %s/%s, then `kubectl -n %s rollout restart daemonset kube-proxy`",
			have, want, kubeProxyNamespace, kubeProxyName, kubeProxyNamespace)
	}
	return ""
}
