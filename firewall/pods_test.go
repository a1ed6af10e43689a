package firewall

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/podlane/podlane/subnet"
)

func interval(first, last string) subnet.Interval {
	return subnet.Interval{First: netip.MustParseAddr(first), Last: netip.MustParseAddr(last)}
}

// underlayInPodNetwork returns the Rules of a node whose underlay is in the pod network, outside the pod subnets. One peer has
// an IPv4 pod subnet of an earlier configuration.
func underlayInPodNetwork() Rules {
	r := dual
	r.Network.IPv4.Prefix, r.Network.IPv6.Prefix = netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/16")
	r.Subnet.IPv4 = netip.MustParsePrefix("10.10.34.0/24")
	r.Pods = []subnet.Interval{
		interval("10.10.0.0", "10.99.255.255"), interval("10.5.7.0", "10.5.7.255"), interval("10.10.34.0", "10.10.34.255"),
		interval("fd00:5::", "fd00:7:ffff:ffff:ffff:ffff:ffff:ffff"),
	}
	return r
}

const aroundGolden = `
	chain pod_addresses {
		ip saddr 10.10.34.0/24 goto pod_source
		ip saddr 10.5.7.0/24 goto to_pods4
		ip saddr 10.10.0.0-10.99.255.255 goto to_pods4
		ip6 saddr fd00:5:0:22::/64 goto pod_source
		ip6 saddr fd00:5::-fd00:7:ffff:ffff:ffff:ffff:ffff:ffff ip6 daddr fd00:5::-fd00:7:ffff:ffff:ffff:ffff:ffff:ffff goto pod_source
	}
	chain to_pods4 {
		ip daddr 10.5.7.0/24 goto pod_source
		ip daddr 10.10.0.0-10.99.255.255 goto pod_source
	}
	chain vxlan_to_node {
		jump vxlan_from_pods
		ip saddr @peers4 ip daddr != 10.5.7.0/24 ip daddr != 10.10.0.0-10.99.255.255 accept
		ip6 saddr @peers6 ip6 daddr != fd00:5::-fd00:7:ffff:ffff:ffff:ffff:ffff:ffff accept
		counter drop comment "vxlan_not_from_a_peer"
	}
	chain http_from_pods {
		iifname @pod_interfaces counter drop comment "http_from_a_pod"
		ip saddr 10.5.7.0/24 counter drop comment "http_from_a_pod"
		ip saddr 10.10.0.0-10.99.255.255 counter drop comment "http_from_a_pod"
		ip6 saddr fd00:5::-fd00:7:ffff:ffff:ffff:ffff:ffff:ffff counter drop comment "http_from_a_pod"
	}
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr 10.10.34.0/24 ip daddr != 10.5.7.0/24 ip daddr != 10.10.0.0-10.99.255.255 ip daddr != 224.0.0.0/4 fib daddr type != local fib daddr type != broadcast masquerade fully-random
		ip6 saddr fd00:5:0:22::/64 ip6 daddr != fd00:5::-fd00:7:ffff:ffff:ffff:ffff:ffff:ffff ip6 daddr != ff00::/8 fib daddr type != local fib daddr type != broadcast masquerade fully-random
	}
`

func TestTableIfThePodNetworkContainsTheUnderlay(t *testing.T) {
	n := newNode(t, "node")
	n.apply(underlayInPodNetwork())
	got := n.sh(list)
	for _, c := range strings.SplitAfter(aroundGolden, "\t}\n") {
		if c = strings.Trim(c, "\n"); !strings.Contains(got, c) {
			t.Errorf("nft printed\n%s\nwant it to contain\n%s", got, c)
		}
	}
	n.quiet(underlayInPodNetwork())
	n.Firewall = Firewall{} // a daemon that has just started
	n.quiet(underlayInPodNetwork())
	for name, edit := range map[string]string{
		"an interval changed":   "h=$(nft -a list chain inet podlane to_pods4 | sed -n 's/.*10.10.0.0-.*handle //p'); nft replace rule inet podlane to_pods4 handle $h ip daddr 10.10.0.0-10.99.255.254 goto pod_source",
		"an interval inverted":  "h=$(nft -a list chain inet podlane to_pods4 | sed -n 's/.*10.10.0.0-.*handle //p'); nft replace rule inet podlane to_pods4 handle $h ip daddr != 10.10.0.0-10.99.255.255 goto pod_source",
		"the chain was flushed": "nft flush chain inet podlane to_pods4",
	} {
		n.sh(edit)
		if ops := words(n.apply(underlayInPodNetwork())); !strings.Contains(ops, "add rule inet podlane to_pods4 ip daddr 10.10.0.0-10.99.255.255 goto pod_source (drift)") {
			t.Errorf("%s: ops:\n%s", name, ops)
		}
		equal(t, "table", n.sh(list), got)
	}
	// The peer is gone.
	r := underlayInPodNetwork()
	r.Pods = slices.Delete(r.Pods, 1, 3)
	n.apply(r)
	if got := n.sh(list); strings.Contains(got, "10.5.7.0") || strings.Contains(got, "to_pods4") {
		t.Errorf("after the peer was removed:\n%s", got)
	}
	n.quiet(r)
}

func TestRulesWithTheSamePodsAreEqual(t *testing.T) {
	a, b := underlayInPodNetwork(), underlayInPodNetwork()
	slices.Reverse(b.Pods)
	whole := dual
	whole.Pods = []subnet.Interval{interval("10.5.0.0", "10.5.255.255"), interval("fd00:5::", "fd00:5:0:ffff:ffff:ffff:ffff:ffff")}
	if !a.Equal(b) || !whole.Equal(dual) {
		t.Error("Rules with another order, or the default, are not equal")
	}
	b.Pods = b.Pods[1:]
	if a.Equal(b) {
		t.Error("Rules with other pods are equal")
	}
}

func TestForwardIfThePodNetworkContainsTheUnderlay(t *testing.T) {
	accepts := func(program string) (lines []string) {
		for _, p := range []string{"10.5.7.0/24", "10.10.0.0/15", "10.12.0.0/14", "10.16.0.0/12", "10.32.0.0/11", "10.64.0.0/11", "10.96.0.0/14"} {
			for _, side := range []string{"-s ", "-d "} {
				lines = append(lines, program+" -C FORWARD "+side+p+" -m comment --comment podlane -j ACCEPT")
			}
		}
		return lines
	}
	for _, program := range []string{"iptables-nft", "iptables-legacy"} {
		t.Run(program, func(t *testing.T) {
			n := newNode(t, "node")
			n.sh(program + " -P FORWARD DROP")
			n.apply(underlayInPodNetwork())
			n.sh(strings.Join(accepts(program), "\n"))
			if got := n.sh(program + " -S FORWARD"); strings.Count(got, "podlane") != 14 || strings.Contains(got, "10.0.0.0/8") {
				t.Errorf("FORWARD:\n%s", got)
			}
			n.quiet(underlayInPodNetwork())
			n.apply(dual)
			if got := n.sh(program + " -S FORWARD"); strings.Count(got, "podlane") != 2 {
				t.Errorf("with another pod network, FORWARD:\n%s", got)
			}
		})
	}
}

func TestAdviceIfThePodNetworkContainsTheUnderlay(t *testing.T) {
	n := newNode(t, "node")
	n.sh(`nft add table inet firewalld; nft add table ip site; nft add chain ip site transit '{ type filter hook forward priority 0; policy drop; }'`)
	n.apply(underlayInPodNetwork())
	problems := n.Problems()
	got := strings.Join(append(n.Advice(), problems...), "\n")
	if strings.Contains(got, "10.0.0.0/8") || !strings.Contains(got, "--add-source=10.10.0.0/15") || len(problems) == 0 {
		t.Fatalf("advice and problems:\n%s", got)
	}
	_, commands, _ := strings.Cut(problems[len(problems)-1], "run: ")
	n.sh(commands)
	if got := n.sh("nft list chain ip site transit"); !strings.Contains(got, "ip daddr 10.10.0.0-10.99.255.255 accept") {
		t.Errorf("%s gives\n%s", commands, got)
	}
}

// Hosts in the pod network that are not pods are treated like any other host.
func TestHostsWithAddressesOfThePodNetwork(t *testing.T) {
	w := newWires(t)
	w.node.sh("ip addr add 10.240.0.1/24 brd + dev eth0")
	w.outside.sh("ip addr add 10.240.0.2/24 brd + dev eth0")
	r := dual
	r.Network.IPv4.Prefix = netip.MustParsePrefix("10.0.0.0/8")
	r.Pods = []subnet.Interval{interval("10.5.0.0", "10.7.0.255"), interval("fd00:5::", "fd00:5:0:ffff:ffff:ffff:ffff:ffff")}
	w.inForms(t, func(t *testing.T, form tableForm) { w.hostsWithAddressesOfThePodNetwork(t, form.rules(w.node, r)) })
}

func (w wires) hostsWithAddressesOfThePodNetwork(t *testing.T, r Rules) {
	w.node.apply(r)
	for _, c := range []struct {
		name  string
		from  *node
		local string
		at    *node
		to    string
		want  string
	}{
		{"pod to a host of the underlay", w.pod, "0.0.0.0", w.outside, "10.240.0.2", "10.240.0.1"},
		{"pod to pod on another node", w.pod, "0.0.0.0", w.outside, "10.5.77.2", "10.5.34.2"},
		{"pod to its node", w.pod, "0.0.0.0", w.node, "10.240.0.1", "10.5.34.2"},
		{"a host of the underlay to a pod", w.outside, "10.240.0.2", w.pod, "10.5.34.2", "10.240.0.2"},
		{"pod of another node to a pod", w.outside, "10.5.77.2", w.pod, "10.5.34.2", "10.5.77.2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.in(t)
			at := c.at.listen("0.0.0.0:0")
			port := at.LocalAddr().(interface{ AddrPort() netip.AddrPort }).AddrPort().Port()
			got, err := seen(c.from.listen(c.local+":0"), at, netip.AddrPortFrom(netip.MustParseAddr(c.to), port).String())
			if err != nil || got != c.want {
				t.Errorf("%s sees %s, %v; want %s", c.to, got, err, c.want)
			}
		})
	}
}
