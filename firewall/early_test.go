package firewall

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/podlane/podlane/nft"
	"github.com/podlane/podlane/subnet"
)

// completeWith returns complete after a change.
func completeWith(change func(r *Rules)) Rules {
	r := complete
	r.Bridge.Addrs, r.Addrs = slices.Clone(r.Bridge.Addrs), slices.Clone(r.Addrs)
	change(&r)
	return r
}

// earlyRules returns which early rules exist before routing: the chain without "from_", and the families, such as "pods:46". Those
// in input must be for the same families as those from the underlay.
func earlyRules(t *testing.T, r Rules) string {
	t.Helper()
	var all []string
	input, used := "", usedChains(r)
	for _, c := range buildTable(r.normalized()).Chains {
		families := ""
		for _, rule := range c.Rules {
			if isEarly(c.Name, rule) {
				families += map[bool]string{false: "4", true: "6"}[strings.Contains(rule.Text, "ip6 ")]
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
		"no fact is known":                           {dual, ""},
		"all facts are known":                        {complete, "pods:46 tunnel4:4 tunnel6:6 underlay:46"},
		"direct routing":                             {completeWith(func(r *Rules) { r.Network.VXLAN.DirectRouting = true }), "pods:46 tunnel4:4 tunnel6:6 underlay:46"},
		"masquerade off":                             {completeWith(func(r *Rules) { r.Masquerade = false }), "pods:46 tunnel4:4 tunnel6:6 underlay:46"},
		"no pod interface":                           {completeWith(func(r *Rules) { r.PodInterfaces = nil }), "tunnel4:4 tunnel6:6 underlay:46"},
		"two pod interfaces, no bridge":              {completeWith(func(r *Rules) { r.PodInterfaces, r.Bridge = []string{"pod0", "pod1"}, Bridge{} }), "tunnel4:4 tunnel6:6 underlay:46"},
		"two pod interfaces, one of them the bridge": {completeWith(func(r *Rules) { r.PodInterfaces = []string{"pod0", "pod1"} }), "tunnel4:4 tunnel6:6 underlay:46"},
		"the bridge is another interface":            {completeWith(func(r *Rules) { r.PodInterfaces = []string{"pod1"} }), "tunnel4:4 tunnel6:6 underlay:46"},
		"the bridge's index is unknown":              {completeWith(func(r *Rules) { r.Bridge.Index = 0 }), "tunnel4:4 tunnel6:6 underlay:46"},
		"the bridge has no address":                  {completeWith(func(r *Rules) { r.Bridge.Addrs = nil }), "tunnel4:4 tunnel6:6 underlay:46"},
		"single addresses, as with ptp":              {completeWith(func(r *Rules) { r.Bridge.Addrs = prefixes("10.5.34.1/32", "fd00:5:0:22::1/128") }), "tunnel4:4 tunnel6:6 underlay:46"},
		"half of the pod subnet":                     {completeWith(func(r *Rules) { r.Bridge.Addrs = prefixes("10.5.34.1/25", "fd00:5:0:22::1/65") }), "tunnel4:4 tunnel6:6 underlay:46"},
		"more than the pod subnet":                   {completeWith(func(r *Rules) { r.Bridge.Addrs = prefixes("10.5.34.1/16", "fd00:5:0:22::1/48") }), "tunnel4:4 tunnel6:6 underlay:46"},
		"the bridge lacks the IPv6 address":          {completeWith(func(r *Rules) { r.Bridge.Addrs = prefixes("10.5.34.1/24", "fe80::1/64") }), "pods:4 tunnel4:4 tunnel6:6 underlay:46"},
		"the bridge lacks the IPv4 address":          {completeWith(func(r *Rules) { r.Bridge.Addrs = prefixes("10.5.35.1/24", "fd00:5:0:22::1/64") }), "pods:6 tunnel4:4 tunnel6:6 underlay:46"},
		"no overlay device":                          {completeWith(func(r *Rules) { r.Overlay = dual.Overlay }), "pods:46 underlay:46"},
		"one overlay device":                         {completeWith(func(r *Rules) { r.Overlay[subnet.IPv4].Index = 0 }), "pods:46 tunnel6:6 underlay:46"},
		"the underlay is unknown":                    {completeWith(func(r *Rules) { r.Underlay = Interface{} }), "pods:46 tunnel4:4 tunnel6:6"},
		"the underlay's index is unknown":            {completeWith(func(r *Rules) { r.Underlay.Index = 0 }), "pods:46 tunnel4:4 tunnel6:6"},
		"pods are on the underlay":                   {completeWith(func(r *Rules) { r.Underlay = r.Bridge.Interface }), "pods:46 tunnel4:4 tunnel6:6"},
		"another way to a peer":                      {completeWith(func(r *Rules) { r.OnlyWay = false }), "pods:46 tunnel4:4 tunnel6:6 underlay:46"},
		"no own address":                             {completeWith(func(r *Rules) { r.Addrs = nil }), "pods:46 tunnel4:4 tunnel6:6"},
		"no own IPv6 address":                        {completeWith(func(r *Rules) { r.Addrs = r.Addrs[:1] }), "pods:46 tunnel4:4 tunnel6:6 underlay:4"},
		"no own IPv4 address":                        {completeWith(func(r *Rules) { r.Addrs = r.Addrs[1:] }), "pods:46 tunnel4:4 tunnel6:6 underlay:6"},
		"the own address is a pod's":                 {completeWith(func(r *Rules) { r.Addrs[0] = aPod }), "pods:46 tunnel4:4 tunnel6:6 underlay:6"},
		"the address of a peer is a pod's":           {completeWith(func(r *Rules) { r.Peers = append(slices.Clone(r.Peers), aPod) }), "pods:46 tunnel4:4 tunnel6:6"},
		"a peer in the pod network, at no pod's address": {completeWith(func(r *Rules) {
			r.Pods, r.Peers = []subnet.Interval{interval("10.5.0.0", "10.5.98.255")}, append(slices.Clone(r.Peers), aPod)
		}), "pods:46 tunnel4:4 tunnel6:6 underlay:46"},
		"peers unknown": {completeWith(func(r *Rules) { r.Peers, r.PeerSubnets = nil, nil }), "pods:46 tunnel4:4 tunnel6:6"},
		"no peers":      {completeWith(func(r *Rules) { r.Peers, r.PeerSubnets = []netip.Addr{}, nil }), "pods:46 tunnel4:4 tunnel6:6 underlay:46"},
		"IPv4 only":     {completeWith(func(r *Rules) { r.Network.IPv6, r.Subnet.IPv6 = subnet.Range{}, netip.Prefix{} }), "pods:4 tunnel4:4 underlay:4"},
		"IPv6 only":     {completeWith(func(r *Rules) { r.Network.IPv4, r.Subnet.IPv4 = subnet.Range{}, netip.Prefix{} }), "pods:6 tunnel6:6 underlay:6"},
	} {
		if got := earlyRules(t, c.rules); got != c.want {
			t.Errorf("%s: got the early rules %q, want %q", name, got, c.want)
		}
	}
}

// After its early rules, each chain leads to the general rules. Only the pods' chain leads to those for pods.
func TestEarlyChainsLeadToTheGeneralRules(t *testing.T) {
	for _, e := range earlyChains(complete.normalized()) {
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
		r := completeWith(func(r *Rules) {
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
		"none":                          {"", "", subnet.IPv4},
		"two":                           {"10.5.99.0/24 10.5.77.0/24", "10.5.77.0 10.5.99.0", subnet.IPv4},
		"one family":                    {"10.5.77.0/24 fd00:5:0:4d::/64", "10.5.77.0", subnet.IPv4},
		"the other family":              {"10.5.77.0/24 fd00:5:0:4d::/64", "fd00:5:0:4d::", subnet.IPv6},
		"one twice":                     {"10.5.77.0/24 10.5.77.0/24", "10.5.77.0", subnet.IPv4},
		"a longer one":                  {"10.5.77.0/25 10.5.78.0/24", "10.5.78.0", subnet.IPv4},
		"a shorter one":                 {"10.5.76.0/23 10.5.78.0/24", "10.5.78.0", subnet.IPv4},
		"this node's":                   {"10.5.34.0/24 10.5.78.0/24", "10.5.78.0", subnet.IPv4},
		"this node's, IPv6":             {"fd00:5:0:22::/64 fd00:5:0:4d::/64", "fd00:5:0:4d::", subnet.IPv6},
		"not masked":                    {"10.5.77.9/24", "10.5.77.0", subnet.IPv4},
		"of an earlier pod network":     {"10.9.77.0/24", "10.9.77.0", subnet.IPv4},
		"IPv6 with the length for IPv4": {"fd00:5:0:4d::/24", "", subnet.IPv4},
	} {
		r := completeWith(func(r *Rules) {
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

// A source in this node's pod subnet is never accepted from the tunnel, even if that subnet is shorter than the peers'.
func TestPeerSubnetsInThisNodesSubnet(t *testing.T) {
	r := completeWith(func(r *Rules) {
		r.Subnet.IPv4 = netip.MustParsePrefix("10.5.32.0/20")
		r.PeerSubnets = []netip.Prefix{netip.MustParsePrefix("10.5.40.0/24"), netip.MustParsePrefix("10.5.48.0/24")}
	})
	want := []nft.Element{{Key: string(netip.MustParseAddr("10.5.48.0").AsSlice())}}
	if got := peerSubnets(r.normalized(), subnet.IPv4).Elements; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Equal compares each fact. Otherwise a changed fact would not count as a change of the Rules.
func TestRulesWithOtherFactsAreNotEqual(t *testing.T) {
	for name, r := range map[string]Rules{
		"index of the bridge":     completeWith(func(r *Rules) { r.Bridge.Index = 21 }),
		"name of the bridge":      completeWith(func(r *Rules) { r.Bridge.Name = "cni0" }),
		"addresses of the bridge": completeWith(func(r *Rules) { r.Bridge.Addrs = r.Bridge.Addrs[:1] }),
		"index of the underlay":   completeWith(func(r *Rules) { r.Underlay.Index = 21 }),
		"index of an overlay":     completeWith(func(r *Rules) { r.Overlay[subnet.IPv6].Index = 21 }),
		"own addresses":           completeWith(func(r *Rules) { r.Addrs = r.Addrs[:1] }),
		"pod subnets of peers":    completeWith(func(r *Rules) { r.PeerSubnets = r.PeerSubnets[:1] }),
	} {
		if r.Equal(complete) || complete.Equal(r) {
			t.Errorf("%s: equal in spite of the change", name)
		}
	}
	if r := completeWith(func(r *Rules) {
		slices.Reverse(r.Bridge.Addrs)
		r.PeerSubnets = append(slices.Clone(r.PeerSubnets), r.PeerSubnets[0])
		slices.Reverse(r.PeerSubnets)
	}); !r.Equal(complete) {
		t.Error("another order is not equal")
	}
}
