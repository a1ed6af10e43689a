package firewall

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/podlane/podlane/nft"
	"github.com/podlane/podlane/subnet"
)

// fastWith returns fast after a change.
func fastWith(change func(r *Rules)) Rules {
	r := fast
	r.Bridge.Addrs, r.Addrs = slices.Clone(r.Bridge.Addrs), slices.Clone(r.Addrs)
	change(&r)
	return r
}

// earlyRules returns which early rules exist: the chain, without "from_", and the families.
func earlyRules(t *testing.T, r Rules) string {
	t.Helper()
	var all []string
	input, used := "", chainsInUse(r)
	for _, c := range buildTable(r.normalized()).Chains {
		families := ""
		for _, rule := range c.Rules {
			if isEarly(c.Name, rule) {
				families += map[bool]string{false: "4", true: "6"}[strings.Contains(rule.Text, "ip6 saddr ")]
			}
		}
		switch {
		case c.Name == vxlanToPort:
			input = families
		case families != "" && used[c.Name]:
			all = append(all, strings.TrimPrefix(c.Name, "from_")+":"+families)
		}
	}
	got := strings.Join(all, " ")
	if _, underlay, _ := strings.Cut(got, "underlay:"); input != underlay {
		t.Errorf("early rules in input for families %q, and before routing for %q", input, underlay)
	}
	return got
}

func TestConditionsOfEarlyRules(t *testing.T) {
	prefixes := func(all ...string) (p []netip.Prefix) {
		for _, s := range all {
			p = append(p, netip.MustParsePrefix(s))
		}
		return p
	}
	aPod := netip.MustParseAddr("10.5.99.9")
	for name, c := range map[string]struct {
		rules Rules
		want  string
	}{
		"nothing is known":                           {dual, ""},
		"everything is known":                        {fast, "pods:46 tunnel4:4 tunnel6:6 underlay:46"},
		"direct routing":                             {fastWith(func(r *Rules) { r.Network.VXLAN.DirectRouting = true }), "pods:46 tunnel4:4 tunnel6:6 underlay:46"},
		"masquerade off":                             {fastWith(func(r *Rules) { r.Masquerade = false }), "pods:46 tunnel4:4 tunnel6:6 underlay:46"},
		"no pod interface":                           {fastWith(func(r *Rules) { r.PodInterfaces = nil }), "tunnel4:4 tunnel6:6 underlay:46"},
		"two pod interfaces, no bridge":              {fastWith(func(r *Rules) { r.PodInterfaces, r.Bridge = []string{"pod0", "pod1"}, Bridge{} }), "tunnel4:4 tunnel6:6 underlay:46"},
		"two pod interfaces, one of them the bridge": {fastWith(func(r *Rules) { r.PodInterfaces = []string{"pod0", "pod1"} }), "tunnel4:4 tunnel6:6 underlay:46"},
		"the bridge is another interface":            {fastWith(func(r *Rules) { r.PodInterfaces = []string{"pod1"} }), "tunnel4:4 tunnel6:6 underlay:46"},
		"the bridge's index is unknown":              {fastWith(func(r *Rules) { r.Bridge.Index = 0 }), "tunnel4:4 tunnel6:6 underlay:46"},
		"the bridge has no address":                  {fastWith(func(r *Rules) { r.Bridge.Addrs = nil }), "tunnel4:4 tunnel6:6 underlay:46"},
		"single addresses, as with ptp":              {fastWith(func(r *Rules) { r.Bridge.Addrs = prefixes("10.5.34.1/32", "fd00:5:0:22::1/128") }), "tunnel4:4 tunnel6:6 underlay:46"},
		"half of the pod subnet":                     {fastWith(func(r *Rules) { r.Bridge.Addrs = prefixes("10.5.34.1/25", "fd00:5:0:22::1/65") }), "tunnel4:4 tunnel6:6 underlay:46"},
		"more than the pod subnet":                   {fastWith(func(r *Rules) { r.Bridge.Addrs = prefixes("10.5.34.1/16", "fd00:5:0:22::1/48") }), "tunnel4:4 tunnel6:6 underlay:46"},
		"the bridge lacks the IPv6 address":          {fastWith(func(r *Rules) { r.Bridge.Addrs = prefixes("10.5.34.1/24", "fe80::1/64") }), "pods:4 tunnel4:4 tunnel6:6 underlay:46"},
		"the bridge lacks the IPv4 address":          {fastWith(func(r *Rules) { r.Bridge.Addrs = prefixes("10.5.35.1/24", "fd00:5:0:22::1/64") }), "pods:6 tunnel4:4 tunnel6:6 underlay:46"},
		"no overlay device":                          {fastWith(func(r *Rules) { r.Overlay = dual.Overlay }), "pods:46 underlay:46"},
		"one overlay device":                         {fastWith(func(r *Rules) { r.Overlay[subnet.IPv4].Index = 0 }), "pods:46 tunnel6:6 underlay:46"},
		"the underlay is unknown":                    {fastWith(func(r *Rules) { r.Underlay = Interface{} }), "pods:46 tunnel4:4 tunnel6:6"},
		"the underlay's index is unknown":            {fastWith(func(r *Rules) { r.Underlay.Index = 0 }), "pods:46 tunnel4:4 tunnel6:6"},
		"pods are on the underlay":                   {fastWith(func(r *Rules) { r.Underlay = r.Bridge.Interface }), "pods:46 tunnel4:4 tunnel6:6"},
		"no own address":                             {fastWith(func(r *Rules) { r.Addrs = nil }), "pods:46 tunnel4:4 tunnel6:6"},
		"no own IPv6 address":                        {fastWith(func(r *Rules) { r.Addrs = r.Addrs[:1] }), "pods:46 tunnel4:4 tunnel6:6 underlay:4"},
		"no own IPv4 address":                        {fastWith(func(r *Rules) { r.Addrs = r.Addrs[1:] }), "pods:46 tunnel4:4 tunnel6:6 underlay:6"},
		"the own address is a pod's":                 {fastWith(func(r *Rules) { r.Addrs[0] = aPod }), "pods:46 tunnel4:4 tunnel6:6 underlay:6"},
		"the address of a peer is a pod's":           {fastWith(func(r *Rules) { r.Peers = append(slices.Clone(r.Peers), aPod) }), "pods:46 tunnel4:4 tunnel6:6"},
		"a peer outside the pods, in their network": {fastWith(func(r *Rules) {
			r.Pods, r.Peers = []subnet.Interval{interval("10.5.0.0", "10.5.98.255")}, append(slices.Clone(r.Peers), aPod)
		}), "pods:46 tunnel4:4 tunnel6:6 underlay:46"},
		"peers unknown": {fastWith(func(r *Rules) { r.Peers, r.PeerSubnets = nil, nil }), "pods:46 tunnel4:4 tunnel6:6"},
		"no peers":      {fastWith(func(r *Rules) { r.Peers, r.PeerSubnets = []netip.Addr{}, nil }), "pods:46 tunnel4:4 tunnel6:6 underlay:46"},
		"IPv4 only":     {fastWith(func(r *Rules) { r.Network.IPv6, r.Subnet.IPv6 = subnet.Range{}, netip.Prefix{} }), "pods:4 tunnel4:4 underlay:46"},
		"IPv6 only":     {fastWith(func(r *Rules) { r.Network.IPv4, r.Subnet.IPv4 = subnet.Range{}, netip.Prefix{} }), "pods:6 tunnel6:6 underlay:46"},
	} {
		if got := earlyRules(t, c.rules); got != c.want {
			t.Errorf("%s: got the early rules %q, want %q", name, got, c.want)
		}
	}
}

// After its early rules, each chain leads to the general rules. Only the pods' chain leads to those for pods.
func TestEarlyChainsLeadToTheGeneralRules(t *testing.T) {
	for _, e := range earlyChains(fast.normalized()) {
		want := "goto not_from_pods"
		if e.Name == "from_pods" {
			want = "goto any_interface"
		}
		if last := e.Rules[len(e.Rules)-1].Text; last != want {
			t.Errorf("%s ends with %q, want %q", e.Name, last, want)
		}
	}
}

func TestNodesOwnAddressesAreNotPods(t *testing.T) {
	for name, c := range map[string]struct {
		addrs []string
		want  string
	}{
		"the gateway":                       {[]string{"10.5.34.1/24"}, "ip saddr 10.5.34.0/24 ip saddr != 10.5.34.0 ip saddr != 10.5.34.1"},
		"a further address":                 {[]string{"10.5.34.1/24", "10.5.34.99/24"}, "ip saddr 10.5.34.0/24 ip saddr != 10.5.34.0 ip saddr != 10.5.34.1 ip saddr != 10.5.34.99"},
		"a further address, another length": {[]string{"10.5.34.99/32", "10.5.34.1/24"}, "ip saddr 10.5.34.0/24 ip saddr != 10.5.34.0 ip saddr != 10.5.34.1 ip saddr != 10.5.34.99"},
		"the first address of the subnet":   {[]string{"10.5.34.0/24"}, "ip saddr 10.5.34.0/24 ip saddr != 10.5.34.0"},
		"one address twice":                 {[]string{"10.5.34.1/24", "10.5.34.1/32"}, "ip saddr 10.5.34.0/24 ip saddr != 10.5.34.0 ip saddr != 10.5.34.1"},
		"an address of another network":     {[]string{"192.168.1.1/24", "10.5.34.1/24"}, "ip saddr 10.5.34.0/24 ip saddr != 10.5.34.0 ip saddr != 10.5.34.1"},
	} {
		r := fastWith(func(r *Rules) {
			r.Bridge.Addrs = nil
			for _, a := range c.addrs {
				r.Bridge.Addrs = append(r.Bridge.Addrs, netip.MustParsePrefix(a))
			}
		})
		if match, ok := fromBridge(r.normalized(), subnet.IPv4); !ok || match.text != c.want {
			t.Errorf("%s: got %q, %v; want %q", name, match.text, ok, c.want)
		}
	}
}

func TestSetOfPeerSubnets(t *testing.T) {
	for name, c := range map[string]struct {
		subnets, want string
		family        subnet.Family
	}{
		"none":                            {"", "", subnet.IPv4},
		"two":                             {"10.5.99.0/24 10.5.77.0/24", "10.5.77.0 10.5.99.0", subnet.IPv4},
		"one family":                      {"10.5.77.0/24 fd00:5:0:4d::/64", "10.5.77.0", subnet.IPv4},
		"the other family":                {"10.5.77.0/24 fd00:5:0:4d::/64", "fd00:5:0:4d::", subnet.IPv6},
		"one twice":                       {"10.5.77.0/24 10.5.77.0/24", "10.5.77.0", subnet.IPv4},
		"a longer one":                    {"10.5.77.0/25 10.5.78.0/24", "10.5.78.0", subnet.IPv4},
		"a shorter one":                   {"10.5.76.0/23 10.5.78.0/24", "10.5.78.0", subnet.IPv4},
		"this node's":                     {"10.5.34.0/24 10.5.78.0/24", "10.5.78.0", subnet.IPv4},
		"this node's, IPv6":               {"fd00:5:0:22::/64 fd00:5:0:4d::/64", "fd00:5:0:4d::", subnet.IPv6},
		"not masked":                      {"10.5.77.9/24", "10.5.77.0", subnet.IPv4},
		"of an earlier pod network":       {"10.9.77.0/24", "10.9.77.0", subnet.IPv4},
		"IPv6 of another length is not 4": {"fd00:5:0:4d::/24", "", subnet.IPv4},
	} {
		r := fastWith(func(r *Rules) {
			r.PeerSubnets = []netip.Prefix{{}}
			for _, s := range strings.Fields(c.subnets) {
				r.PeerSubnets = append(r.PeerSubnets, netip.MustParsePrefix(s))
			}
		})
		var got []string
		for _, e := range peerSubnets(r.normalized(), c.family).Elements {
			a, _ := netip.AddrFromSlice([]byte(e.Key))
			got = append(got, a.String())
		}
		if got := strings.Join(got, " "); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

// A pod subnet of this node is never accepted from the tunnel, even if it is shorter than the peers'.
func TestPeerSubnetsInThisNodesSubnet(t *testing.T) {
	r := fastWith(func(r *Rules) {
		r.Subnet.IPv4 = netip.MustParsePrefix("10.5.32.0/20")
		r.PeerSubnets = []netip.Prefix{netip.MustParsePrefix("10.5.40.0/24"), netip.MustParsePrefix("10.5.48.0/24")}
	})
	want := []nft.Element{nft.AddrElement(netip.MustParseAddr("10.5.48.0"))}
	if got := peerSubnets(r.normalized(), subnet.IPv4).Elements; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Each fact is part of what Equal compares: otherwise the daemon would not apply a change of it.
func TestRulesWithOtherFactsAreNotEqual(t *testing.T) {
	for name, r := range map[string]Rules{
		"index of the bridge":     fastWith(func(r *Rules) { r.Bridge.Index = 21 }),
		"name of the bridge":      fastWith(func(r *Rules) { r.Bridge.Name = "cni0" }),
		"addresses of the bridge": fastWith(func(r *Rules) { r.Bridge.Addrs = r.Bridge.Addrs[:1] }),
		"index of the underlay":   fastWith(func(r *Rules) { r.Underlay.Index = 21 }),
		"index of an overlay":     fastWith(func(r *Rules) { r.Overlay[subnet.IPv6].Index = 21 }),
		"own addresses":           fastWith(func(r *Rules) { r.Addrs = r.Addrs[:1] }),
		"pod subnets of peers":    fastWith(func(r *Rules) { r.PeerSubnets = r.PeerSubnets[:1] }),
	} {
		if r.Equal(fast) || fast.Equal(r) {
			t.Errorf("%s: equal in spite of the change", name)
		}
	}
	if r := fastWith(func(r *Rules) {
		slices.Reverse(r.Bridge.Addrs)
		r.PeerSubnets = append(slices.Clone(r.PeerSubnets), r.PeerSubnets[0])
		slices.Reverse(r.PeerSubnets)
	}); !r.Equal(fast) {
		t.Error("another order is not equal")
	}
}
