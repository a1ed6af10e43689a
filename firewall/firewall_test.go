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
	n := newNode(t, "node")
	r := dual
	r.Network.IPv4.Prefix, r.Subnet.IPv4 = netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("172.17.32.0/20")
	r.Network.IPv6.Prefix, r.Subnet.IPv6 = netip.MustParsePrefix("fd00:5:0:8000::/49"), netip.MustParsePrefix("fd00:5:0:8022::/65")
	n.apply(r)
	got := n.sh(list)
	for _, c := range buildTable(r.normalized()).Chains {
		for _, rule := range c.Rules {
			if !strings.Contains(got, "\t"+rule.String()+"\n") {
				t.Errorf("nft does not print\n%s\nbut\n%s", rule, got)
			}
		}
	}
	n.quiet(r)
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
		"guard unhooked":         {"nft flush chain inet podlane vxlan_input", "add rule inet podlane vxlan_input udp dport 8472 @th,96,24 0x1 goto vxlan_to_node"},
		"guard of another VNI": {"nft flush chain inet podlane vxlan_input; nft add rule inet podlane vxlan_input udp dport 8472 @th,96,24 0x2 goto vxlan_to_node",
			"add rule inet podlane vxlan_input udp dport 8472 @th,96,24 0x1 goto vxlan_to_node"},
		"counted and accepted": {`nft flush chain inet podlane vxlan_prerouting; nft add rule inet podlane vxlan_prerouting meta nfproto ipv4 udp dport 8472 @th,96,24 0x1 fib daddr type local fib saddr . iif oif missing counter accept comment vxlan_from_a_wrong_interface`,
			"add rule inet podlane vxlan_prerouting meta nfproto ipv4 udp dport 8472"},
		"the reverse path inverted": {`nft flush chain inet podlane vxlan_prerouting; nft add rule inet podlane vxlan_prerouting meta nfproto ipv4 udp dport 8472 @th,96,24 0x1 fib daddr type local fib saddr . iif oif exists counter drop comment vxlan_from_a_wrong_interface`,
			"add rule inet podlane vxlan_prerouting meta nfproto ipv4 udp dport 8472"},
		"a loose reverse path": {`nft flush chain inet podlane vxlan_prerouting; nft add rule inet podlane vxlan_prerouting meta nfproto ipv4 udp dport 8472 @th,96,24 0x1 fib daddr type local fib saddr oif missing counter drop comment vxlan_from_a_wrong_interface`,
			"add rule inet podlane vxlan_prerouting meta nfproto ipv4 udp dport 8472"},
		"another reason": {"nft flush chain inet podlane vxlan_prerouting; nft add rule inet podlane vxlan_prerouting meta nfproto ipv4 udp dport 8472 @th,96,24 0x1 fib daddr type local fib saddr . iif oif missing counter drop comment mine",
			"add rule inet podlane vxlan_prerouting meta nfproto ipv4 udp dport 8472"},
		"tracked again":      {"nft flush chain inet podlane untracked_out", "add rule inet podlane untracked_out ct state != untracked"},
		"foreign chain":      {"nft add chain inet podlane mine", "delete chain inet podlane mine"},
		"foreign set":        {"nft add set inet podlane mine '{ type ipv4_addr; }'", "delete set inet podlane mine"},
		"foreign map":        {"nft add map inet podlane mine '{ type ipv4_addr : verdict; }'", "delete set inet podlane mine"},
		"foreign counter":    {"nft add counter inet podlane mine", "replace table inet podlane"},
		"dormant":            {"nft add table inet podlane '{ flags dormant; }'", "replace table inet podlane"},
		"table deleted":      {"nft delete table inet podlane", "add table inet podlane"},
		"everything flushed": {"nft flush ruleset", "add table inet podlane"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, "node")
			n.apply(dual)
			n.sh(c.edit)
			ops := n.apply(dual)
			if !strings.Contains(words(ops), c.op) {
				t.Errorf("got ops\n%s\nwant one with %q", words(ops), c.op)
			}
			for _, op := range ops {
				if !op.Drift {
					t.Errorf("%s: not reported as drift", op)
				}
			}
			equal(t, "table", n.sh(list), golden)
			n.quiet(dual)
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
