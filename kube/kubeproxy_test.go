package main

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/podlane/podlane/subnet"
)

func TestClusterCIDROfKubeProxy(t *testing.T) {
	network := subnet.Pair{IPv4: netip.MustParsePrefix("10.5.0.0/16"), IPv6: netip.MustParsePrefix("fd00:5::/48")}
	for name, c := range map[string]struct{ config, fault, err string }{
		"empty file":          {},
		"of kubeadm":          {config: "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nclusterCIDR: 10.5.0.0/16\nmode: \"\"\n"},
		"none":                {config: "clusterCIDR: \"\"\nmode: nftables\n"},
		"both families":       {config: "clusterCIDR: fd00:5::/48, 10.5.0.0/16"},
		"host bits":           {config: "clusterCIDR: 10.5.1.2/16"},
		"another":             {config: "clusterCIDR: 10.244.0.0/16", fault: "clusterCIDR 10.244.0.0/16 differs from podlane's Network 10.5.0.0/16: "},
		"wider":               {config: "clusterCIDR: 10.0.0.0/8", fault: "10.0.0.0/8 differs"},
		"another IPv6":        {config: "clusterCIDR: 10.5.0.0/16,fd01::/48", fault: "clusterCIDR fd01::/48 differs from podlane's Network fd00:5::/48: "},
		"not used":            {config: "clusterCIDR: 10.244.0.0/16\ndetectLocalMode: NodeCIDR"},
		"used explicitly":     {config: "clusterCIDR: 10.244.0.0/16\ndetectLocalMode: ClusterCIDR", fault: "differs"},
		"not YAML":            {config: "clusterCIDR: [", err: "the ConfigMap kube-system/kube-proxy, key config.conf: yaml: "},
		"not a CIDR":          {config: "clusterCIDR: 10.244.0.0", err: `clusterCIDR "10.244.0.0" is not a CIDR`},
		"a list is no string": {config: "clusterCIDR: [10.244.0.0/16]", err: "cannot unmarshal"},
	} {
		cluster, err := clusterCIDRs(c.config)
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: error %v, want %q", name, err, c.err)
		}
		fault := clusterCIDRFault(cluster, network)
		if (fault == "") != (c.fault == "") || !strings.Contains(fault, c.fault) {
			t.Errorf("%s: fault %q, want %q", name, fault, c.fault)
		}
	}
	if fault := clusterCIDRFault(network, subnet.Pair{IPv4: network.IPv4}); fault != "" {
		t.Errorf("a family that podlane does not have: %q", fault)
	}
}
