package main

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/podlane/podlane/subnet"
)

func TestNetworkConfiguration(t *testing.T) {
	v4, v6 := netip.MustParsePrefix("10.244.1.0/24"), netip.MustParsePrefix("fd00:10:244:1::/64")
	single, dual := subnet.Pair{IPv4: v4}, subnet.Pair{IPv4: v4, IPv6: v6}
	small := subnet.Pair{IPv4: netip.MustParsePrefix("10.244.1.0/26")}
	for name, c := range map[string]struct {
		sources networkSources
		own     subnet.Pair
		want    string
	}{
		"from the file":                {networkSources{file: []byte(`{"Network":"10.5.0.0/16"}`)}, single, `{"Network":"10.5.0.0/16"}`},
		"the file wins":                {networkSources{file: []byte(`{"Network":"10.5.0.0/16"}`), podSubnets: "10.244.0.0/16"}, single, `{"Network":"10.5.0.0/16"}`},
		"IPv6 in the file":             {networkSources{file: []byte(`{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00:5::/48"}`), podSubnets: "10.244.0.0/16"}, single, `{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00:5::/48"}`},
		"other capitals":               {networkSources{file: []byte(`{"network":"10.5.0.0/16"}`), podSubnets: "10.244.0.0/16"}, single, `{"network":"10.5.0.0/16"}`},
		"kubeadm":                      {networkSources{file: []byte(`{"Backend":{"Type":"vxlan","VNI":7}}`), podSubnets: "10.244.0.0/16"}, single, `{"Backend":{"Type":"vxlan","VNI":7},"Network":"10.244.0.0/16"}`},
		"an empty network":             {networkSources{file: []byte(`{"network":"","IPv6Network":""}`), podSubnets: "10.244.0.0/16"}, single, `{"IPv6Network":"","Network":"10.244.0.0/16"}`},
		"kubeadm, dual-stack":          {networkSources{file: []byte(`{}`), podSubnets: "10.244.0.0/16,fd00:10:244::/56"}, dual, `{"EnableIPv6":true,"IPv6Network":"fd00:10:244::/56","Network":"10.244.0.0/16"}`},
		"kubeadm, IPv6 first":          {networkSources{file: []byte(`{}`), podSubnets: "fd00:10:244::/56, 10.244.0.0/16"}, dual, `{"EnableIPv6":true,"IPv6Network":"fd00:10:244::/56","Network":"10.244.0.0/16"}`},
		"kubeadm, IPv6 alone":          {networkSources{file: []byte(`{}`), podSubnets: "fd00:10:244::/56"}, subnet.Pair{IPv6: v6}, `{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00:10:244::/56"}`},
		"kubeadm, short podCIDRs":      {networkSources{file: []byte(`{}`), podSubnets: "10.244.0.0/16"}, small, `{"Network":"10.244.0.0/16","SubnetLen":26}`},
		"the file sets the length":     {networkSources{file: []byte(`{"SubnetLen":25}`), podSubnets: "10.244.0.0/16"}, small, `{"Network":"10.244.0.0/16","SubnetLen":25}`},
		"a length that is impossible":  {networkSources{file: []byte(`{}`), podSubnets: "10.244.0.0/25"}, small, `{"Network":"10.244.0.0/25"}`},
		"no podCIDR yet":               {networkSources{file: []byte(`{}`), podSubnets: "10.244.0.0/16"}, subnet.Pair{}, `{"Network":"10.244.0.0/16"}`},
		"another mistake in the file":  {networkSources{file: []byte(`{"Network":7}`), podSubnets: "10.244.0.0/16"}, single, `{"Network":7}`},
		"an array":                     {networkSources{file: []byte(`[]`)}, single, `[]`},
		"null":                         {networkSources{file: []byte(`null`)}, single, `null`},
		"IPv6 is turned off by a file": {networkSources{file: []byte(`{"EnableIPv6":false}`), podSubnets: "10.244.0.0/16,fd00:10:244::/56"}, dual, `{"EnableIPv6":false,"IPv6Network":"fd00:10:244::/56","Network":"10.244.0.0/16"}`},
	} {
		got, fault := c.sources.compose(c.own, c.own)
		if string(got) != c.want || fault != "" {
			t.Errorf("%s: configuration %s, want %s; fault %q", name, got, c.want, fault)
		}
	}
}

func TestUnusableNetworkConfigurations(t *testing.T) {
	for name, c := range map[string]struct {
		sources networkSources
		want    []string
	}{
		"no file":                {networkSources{fileFault: "there is no file"}, []string{"there is no file"}},
		"empty file":             {networkSources{file: []byte(" \n")}, []string{"empty net-conf.json"}},
		"not JSON":               {networkSources{file: []byte(`{"Network": 10.5.0.0/16}`)}, []string{"not JSON", "podlane-network"}},
		"two values":             {networkSources{file: []byte(`{} {}`)}, []string{"not JSON"}},
		"no network anywhere":    {networkSources{file: []byte(`{}`)}, []string{"no kubeadm configuration", "--set network.Network=", "kubectl", "10.42.1.0/24"}},
		"no right for kubeadm's": {networkSources{file: []byte(`{}`), kubeadmFault: "no right (403)"}, []string{"no right (403)", "--set network.Network="}},
		"invalid podSubnet":      {networkSources{file: []byte(`{}`), podSubnets: "10.244.0.0"}, []string{`podSubnet "10.244.0.0"`}},
		"three podSubnets":       {networkSources{file: []byte(`{}`), podSubnets: "10.244.0.0/16,fd00::/48,10.245.0.0/16"}, []string{"one of each family"}},
	} {
		config, fault := c.sources.compose(subnet.Pair{}, subnet.Pair{IPv4: netip.MustParsePrefix("10.42.1.0/24")})
		for _, want := range c.want {
			if !strings.Contains(fault, want) || config != nil {
				t.Errorf("%s: configuration %s, fault %q; want a fault with %q", name, config, fault, want)
			}
		}
	}
}

func TestKubeadmConfiguration(t *testing.T) {
	for text, want := range map[string]string{
		"apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nnetworking:\n  dnsDomain: cluster.local\n  podSubnet: 10.244.0.0/16\n  serviceSubnet: 10.96.0.0/12\n": "10.244.0.0/16",
		"networking:\n  podSubnet: 10.244.0.0/16,fd00:10:244::/56\n": "10.244.0.0/16,fd00:10:244::/56",
		"networking: {}\n": "",
		"":                 "",
		"networking: [":    "error",
		"networking: 7":    "error",
	} {
		got, err := kubeadmPodSubnets(text)
		if (err != nil) != (want == "error") || err == nil && got != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}
