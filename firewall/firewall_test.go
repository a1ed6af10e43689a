package firewall

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/lab/sandbox"
	"github.com/podlane/podlane/subnet"
)

const list = "nft -s list table inet podlane"

func TestTableFromNothing(t *testing.T) {
	n := newNode(t, "node")
	equal(t, "ops", words(n.apply(dual)), goldenOps)
	equal(t, "table", n.sh(list), golden)
	n.quiet(dual)
	n.Firewall = Firewall{} // a daemon that has just started
	n.quiet(dual)
}

func TestRuleTextIsWhatNftPrints(t *testing.T) {
	n := newCompleteNode(t)
	withinByte := func(r Rules) Rules {
		r.Network.IPv4, r.Subnet.IPv4 = subnet.Range{Prefix: netip.MustParsePrefix("172.16.0.0/12"), SubnetLen: 20}, netip.MustParsePrefix("172.17.32.0/20")
		r.Network.IPv6, r.Subnet.IPv6 = subnet.Range{Prefix: netip.MustParsePrefix("fd00:5:0:8000::/49"), SubnetLen: 65}, netip.MustParsePrefix("fd00:5:0:8022::/65")
		r.Bridge.Addrs = []netip.Prefix{netip.MustParsePrefix("172.17.32.1/20"), netip.MustParsePrefix("fd00:5:0:8022::1/65")}
		r.PeerSubnets = []netip.Prefix{netip.MustParsePrefix("172.17.48.0/20"), netip.MustParsePrefix("fd00:5:0:8023:8000::/65")}
		return r
	}
	hidden := complete
	otherWay := complete
	otherWay.OnlyWay = false
	hidden.BridgeHidden, hidden.Network.VXLAN.VNI = true, subnet.MaxVNI
	for name, r := range map[string]Rules{
		"general": dual, "early": complete, "general, prefixes within a byte": withinByte(dual), "early, prefixes within a byte": withinByte(complete),
		"another way to a peer": otherWay, "hidden bridge, largest VNI": hidden, "several intervals of pods": underlayInPodNetwork(),
	} {
		n.apply(r)
		got := n.sh(list)
		for _, c := range buildTable(r.normalized()).Chains {
			_, chain, _ := strings.Cut(got, "\tchain "+c.Name+" {\n")
			chain, _, _ = strings.Cut(chain, "\t}\n")
			for _, rule := range c.Rules {
				if !strings.Contains(chain, "\t"+rule.String()+"\n") {
					t.Errorf("%s: in chain %s, nft does not print\n%s\nbut\n%s", name, c.Name, rule, chain)
				}
			}
		}
		n.quiet(r)
	}
}

func TestChangedRulesChangeTheTable(t *testing.T) {
	n := newNode(t, "node")
	n.apply(dual)
	r := dual
	r.Subnet = subnet.Pair{IPv4: netip.MustParsePrefix("10.5.35.0/24")}
	got := words(n.apply(r))
	for _, want := range []string{"add rule inet podlane postrouting ip saddr 10.5.35.0/24 ", "delete rule inet podlane postrouting handle "} {
		if !strings.Contains(got, want) {
			t.Errorf("ops:\n%s\nwant one with %q", got, want)
		}
	}
	if strings.Contains(got, "drift") {
		t.Errorf("a change of the Rules is reported as drift:\n%s", got)
	}
	n.quiet(r)
	r.Masquerade = false
	n.apply(r)
	equal(t, "chain without masquerade", n.sh("nft list chain inet podlane postrouting"), `table inet podlane {
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
	}
}`)
	n.quiet(r)
}

func TestChangesByHandAreRepaired(t *testing.T) {
	const first = "ip saddr 10.5.34.0/24 ip daddr != 10.5.0.0/16 ip daddr != 224.0.0.0/4 fib daddr type != local fib daddr type != broadcast"
	replace := func(with string) string {
		return `h=$(nft -a list chain inet podlane postrouting | sed -n 's/.*10.5.34.0.*handle //p'); nft replace rule inet podlane postrouting handle $h ` + with
	}
	for name, c := range map[string]struct{ edit, op string }{
		"rule deleted":           {`h=$(nft -a list chain inet podlane postrouting | sed -n 's/.*10.5.34.0.*handle //p'); nft delete rule inet podlane postrouting handle $h`, "add rule inet podlane postrouting ip saddr"},
		"rule added":             {"nft add rule inet podlane postrouting accept", "delete rule inet podlane postrouting handle"},
		"rule inserted":          {"nft insert rule inet podlane postrouting oifname lo accept", "delete rule inet podlane postrouting handle"},
		"rule twice":             {"nft add rule inet podlane postrouting " + first + " masquerade fully-random", "replace rule inet podlane postrouting (duplicate or wrong order)"},
		"another source":         {replace("ip saddr 10.5.0.0/16 ip daddr != 10.5.0.0/16 ip daddr != 224.0.0.0/4 fib daddr type != local fib daddr type != broadcast masquerade fully-random"), "add rule inet podlane postrouting ip saddr"},
		"a match less":           {replace("ip saddr 10.5.34.0/24 ip daddr != 10.5.0.0/16 masquerade fully-random"), "add rule inet podlane postrouting ip saddr"},
		"a match more":           {replace(first + " meta mark 7 masquerade fully-random"), "add rule inet podlane postrouting ip saddr"},
		"a match unknown to Go":  {replace(first + " rt ip nexthop 198.18.0.254 masquerade fully-random"), "add rule inet podlane postrouting ip saddr"},
		"a match inverted":       {replace("ip saddr 10.5.34.0/24 ip daddr 10.5.0.0/16 ip daddr != 224.0.0.0/4 fib daddr type != local fib daddr type != broadcast masquerade fully-random"), "add rule inet podlane postrouting ip saddr"},
		"plain masquerade":       {replace(first + " masquerade"), "add rule inet podlane postrouting ip saddr"},
		"persistent masquerade":  {replace(first + " masquerade fully-random,persistent"), "add rule inet podlane postrouting ip saddr"},
		"a comment":              {replace(first + " masquerade fully-random comment mine"), "add rule inet podlane postrouting ip saddr"},
		"chain flushed":          {"nft flush chain inet podlane postrouting", "add rule inet podlane postrouting ip6 saddr"},
		"chain deleted":          {"nft flush chain inet podlane postrouting; nft delete chain inet podlane postrouting", "add chain inet podlane postrouting {"},
		"chain policy":           {"nft chain inet podlane postrouting '{ policy drop; }'", "replace chain inet podlane postrouting"},
		"chain elsewhere":        {"nft delete table inet podlane; nft add table inet podlane; nft add chain inet podlane postrouting '{ type nat hook output priority 5; }'", "replace chain inet podlane postrouting"},
		"chain that is not base": {"nft delete table inet podlane; nft add table inet podlane; nft add chain inet podlane postrouting", "replace chain inet podlane postrouting"},
		"peer added":             {"nft add element inet podlane peers4 '{ 198.18.0.66 }'", "delete element inet podlane peers4 198.18.0.66"},
		"peer deleted":           {"nft flush set inet podlane peers6", "add element inet podlane peers6 2001:db8::2"},
		"pod interface added":    {"nft add element inet podlane pod_interfaces '{ eth0 }'", "delete element inet podlane pod_interfaces eth0"},
		"pod interface deleted":  {"nft flush set inet podlane pod_interfaces", "add element inet podlane pod_interfaces pod0"},
		"guard opened":           {"nft insert rule inet podlane vxlan_to_node accept", "delete rule inet podlane vxlan_to_node handle"},
		"guard unhooked":         {"nft flush chain inet podlane vxlan_to_port", "add rule inet podlane vxlan_to_port @th,96,32 & 0xffffff00 == 0x100 goto vxlan_to_node"},
		"guard of another port": {"nft flush chain inet podlane input; nft add rule inet podlane input udp dport 8473 goto vxlan_to_port",
			"add rule inet podlane input udp dport 8472 goto vxlan_to_port"},
		"guard of another VNI": {"nft flush chain inet podlane vxlan_to_port; nft add rule inet podlane vxlan_to_port @th,96,32 '&' 0xffffff00 == 0x200 goto vxlan_to_node",
			"add rule inet podlane vxlan_to_port @th,96,32 & 0xffffff00 == 0x100 goto vxlan_to_node"},
		"guard without the reserved byte": {"nft flush chain inet podlane vxlan_to_port; nft add rule inet podlane vxlan_to_port @th,96,32 == 0x100 goto vxlan_to_node",
			"add rule inet podlane vxlan_to_port @th,96,32 & 0xffffff00 == 0x100 goto vxlan_to_node"},
		"guard of HTTP unhooked": {`h=$(nft -a list chain inet podlane forward | sed -n 's/.*8470.*handle //p'); nft delete rule inet podlane forward handle $h`,
			"add rule inet podlane forward tcp dport 8470 goto http_to_peers"},
		"prerouting unhooked": {"nft flush chain inet podlane prerouting", "add rule inet podlane prerouting goto any_interface"},
		"counted and accepted": {"nft flush chain inet podlane vxlan_wrong_iface; nft add rule inet podlane vxlan_wrong_iface counter accept comment vxlan_from_a_wrong_interface",
			"add rule inet podlane vxlan_wrong_iface counter drop comment"},
		"the reverse path inverted": {"nft flush chain inet podlane vxlan_arrives; nft add rule inet podlane vxlan_arrives meta nfproto ipv4 fib saddr . iif oif exists goto vxlan_wrong_iface",
			"add rule inet podlane vxlan_arrives meta nfproto ipv4 fib saddr . iif oif missing goto vxlan_wrong_iface"},
		"a loose reverse path": {"nft flush chain inet podlane vxlan_arrives; nft add rule inet podlane vxlan_arrives meta nfproto ipv4 fib saddr oif missing goto vxlan_wrong_iface",
			"add rule inet podlane vxlan_arrives meta nfproto ipv4 fib saddr . iif oif missing goto vxlan_wrong_iface"},
		"another reason": {"nft flush chain inet podlane vxlan_wrong_iface; nft add rule inet podlane vxlan_wrong_iface counter drop comment mine",
			"add rule inet podlane vxlan_wrong_iface counter drop comment"},
		"tracked again":      {"nft flush chain inet podlane output", "add rule inet podlane output udp dport 8472 @th,96,32 & 0xffffff00 == 0x100 notrack"},
		"foreign chain":      {"nft add chain inet podlane mine", "delete chain inet podlane mine"},
		"foreign set":        {"nft add set inet podlane mine '{ type ipv4_addr; }'", "delete set inet podlane mine"},
		"foreign map":        {"nft add map inet podlane mine '{ type ipv4_addr : verdict; }'", "delete set inet podlane mine"},
		"foreign counter":    {"nft add counter inet podlane mine", "replace table inet podlane"},
		"dormant":            {"nft add table inet podlane '{ flags dormant; }'", "replace table inet podlane"},
		"table deleted":      {"nft delete table inet podlane", "add table inet podlane"},
		"everything flushed": {"nft flush ruleset", "add table inet podlane"},
	} {
		t.Run(name, func(t *testing.T) { newNode(t, "node").repairs(dual, golden, c.edit, c.op) })
	}
}

// repairs checks that Apply repairs what an edit changed, with an op that contains a text.
func (n *node) repairs(r Rules, table, edit, op string) {
	n.Helper()
	n.apply(r)
	equal(n.T, "table before", n.sh(list), table)
	before := n.generation()
	n.sh(edit)
	if n.generation() == before {
		n.Fatalf("this edit changes nothing: %s", edit)
	}
	ops := n.apply(r)
	if !strings.Contains(words(ops), op) {
		n.Errorf("got ops\n%s\nwant one with %q", words(ops), op)
	}
	for _, op := range ops {
		if !op.Drift {
			n.Errorf("%s: not reported as drift", op)
		}
	}
	equal(n.T, "table", n.sh(list), table)
	n.quiet(r)
}

func TestChangesOfEarlyRulesByHandAreRepaired(t *testing.T) {
	n := newCompleteNode(t)
	// replace replaces the rule of a chain whose text matches a pattern of sed.
	replace := func(chain, pattern, with string) string {
		return "h=$(nft -a list chain inet podlane " + chain + ` | sed -n 's/.*` + pattern + `.*handle //p'); nft replace rule inet podlane ` + chain + " handle $h " + with
	}
	const vxlan = "udp dport 8472 @th,96,32 '&' 0xffffff00 == 0x100 "
	for name, c := range map[string]struct{ edit, op string }{
		"early rule deleted":             {`h=$(nft -a list chain inet podlane from_pods | sed -n 's/.*10.5.34.0.*handle //p'); nft delete rule inet podlane from_pods handle $h`, "add rule inet podlane from_pods ip saddr 10.5.34.0/24 "},
		"early rule unhooked":            {"nft flush chain inet podlane prerouting; nft add rule inet podlane prerouting goto any_interface", `add rule inet podlane prerouting iif "pod0" goto from_pods`},
		"general rules unhooked":         {`nft flush chain inet podlane from_underlay`, "add rule inet podlane from_underlay goto not_from_pods"},
		"index of the bridge":            {replace("prerouting", "from_pods", "iif eth1 goto from_pods"), `add rule inet podlane prerouting iif "pod0" goto from_pods`},
		"index of the overlay's device":  {replace("prerouting", "from_tunnel6", "iif eth1 goto from_tunnel6"), `add rule inet podlane prerouting iif "podlane-v6.1" goto from_tunnel6`},
		"index of the underlay":          {replace("prerouting", "from_underlay", "iif eth1 goto from_underlay"), `add rule inet podlane prerouting iif "eth0" goto from_underlay`},
		"index of the underlay in input": {replace("vxlan_to_port", "198.18.0.1", "iif eth1 ip daddr 198.18.0.1 ip saddr @peers4 accept"), `add rule inet podlane vxlan_to_port iif "eth0" ip daddr 198.18.0.1 ip saddr @peers4 accept`},
		"name instead of index":          {replace("prerouting", "from_pods", "iifname pod0 goto from_pods"), `add rule inet podlane prerouting iif "pod0" goto from_pods`},
		"the node's address accepted":    {replace("from_pods", "10.5.34.1", "ip saddr 10.5.34.0/24 ip saddr != 10.5.34.0 accept"), "add rule inet podlane from_pods ip saddr 10.5.34.0/24 ip saddr != 10.5.34.0 ip saddr != 10.5.34.1 accept"},
		"a shorter mask":                 {replace("from_tunnel4", "peer_subnets4", "ip saddr '&' 255.255.0.0 == @peer_subnets4 accept"), "add rule inet podlane from_tunnel4 ip saddr & 255.255.255.0 == @peer_subnets4 accept"},
		"another set":                    {replace("from_tunnel4", "peer_subnets4", "ip saddr '&' 255.255.255.0 == @peers4 accept"), "add rule inet podlane from_tunnel4 ip saddr & 255.255.255.0 == @peer_subnets4 accept"},
		"tracked again":                  {replace("from_underlay", "peers4", vxlan+"ip daddr 198.18.0.1 ip saddr @peers4 accept"), "add rule inet podlane from_underlay udp dport 8472 @th,96,32 & 0xffffff00 == 0x100 ip daddr 198.18.0.1 ip saddr @peers4 notrack accept"},
		"every source accepted":          {replace("from_underlay", "peers6", vxlan+"ip6 daddr 2001:db8::1 notrack accept"), "add rule inet podlane from_underlay udp dport 8472 @th,96,32 & 0xffffff00 == 0x100 ip6 daddr 2001:db8::1 ip6 saddr @peers6 notrack accept"},
		"pod subnet of a peer added":     {"nft add element inet podlane peer_subnets4 '{ 10.5.66.0 }'", "delete element inet podlane peer_subnets4 10.5.66.0"},
		"pod subnet of a peer deleted":   {"nft delete element inet podlane peer_subnets4 '{ 10.5.77.0 }'", "add element inet podlane peer_subnets4 10.5.77.0"},
		"set flushed":                    {"nft flush set inet podlane peer_subnets6", "add element inet podlane peer_subnets6 fd00:5:0:4d::"},
	} {
		t.Run(name, func(t *testing.T) {
			n.T = t
			n.repairs(complete, completeGolden, c.edit, c.op)
		})
	}
}

const others = `
nft add table inet podlane2; nft add chain inet podlane2 postrouting '{ type nat hook postrouting priority srcnat; }'; nft add rule inet podlane2 postrouting accept
nft add table ip podlane; nft add chain ip podlane c; nft add rule ip podlane c counter accept
nft add table ip filter; nft add chain ip filter FORWARD '{ type filter hook forward priority filter; policy drop; }'; nft add rule ip filter FORWARD ct state established accept
nft add table ip6 filter; nft add set ip6 filter s '{ type ipv6_addr; elements = { ::1 }; }'; nft add chain ip6 filter FORWARD`

func TestOtherTablesAreNotChanged(t *testing.T) {
	n := newNode(t, "node")
	n.sh(others)
	before := n.sh("nft list ruleset")
	n.apply(dual)
	n.quiet(dual)
	ops := words(n.cleanup())
	equal(t, "ops", ops, `delete table inet podlane
delete rule ip filter FORWARD handle 4 (comment podlane)
delete rule ip filter FORWARD handle 3 (comment podlane)`)
	equal(t, "rule set after cleanup", n.sh("nft list ruleset"), before)
	g := n.generation()
	if ops := n.cleanup(); len(ops) > 0 || n.generation() != g {
		t.Errorf("the second cleanup wrote:\n%s", words(ops))
	}
}

func TestWithoutPrivilege(t *testing.T) {
	n := sandbox.Test(t, "node")
	err := n.Do(func() error {
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var caps [2]unix.CapUserData
		if err := unix.Capset(&header, &caps[0]); err != nil { // of this thread, which ends here
			return err
		}
		_, err := new(Firewall).Apply(t.Context(), dual)
		return err
	})
	if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "needs CAP_NET_ADMIN") {
		t.Errorf("got error %v, want one about CAP_NET_ADMIN", err)
	}
}

func TestInvalidRulesAreRefused(t *testing.T) {
	for name, r := range map[string]Rules{
		"nothing":             {},
		"no subnet":           {Network: dual.Network},
		"subnet outside":      {Network: dual.Network, Subnet: subnet.Pair{IPv4: netip.MustParsePrefix("10.6.0.0/24")}},
		"subnet of no family": {Network: subnet.Network{IPv4: dual.Network.IPv4}, Subnet: dual.Subnet},
	} {
		if _, err := new(Firewall).Apply(context.Background(), r); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
