package vxlan

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podlane/podlane/backend"
	"github.com/podlane/podlane/subnet"
)

// named returns the leases of the peers, with names.
func named(last int) []subnet.Lease {
	ls := leases(last)
	for i := range ls {
		ls[i].Node.Name = fmt.Sprintf("n%d", i+2)
	}
	return ls
}

// An entry of another program diverts packets to pods, or only seems to. It is reported and not changed. Problems
// begin with an exclamation mark.
func TestOtherRoutesAndRulesDivertTraffic(t *testing.T) {
	for name, c := range map[string]struct{ command, want string }{
		"nothing":                             {"", ""},
		"route to half of a peer's pods":      {"ip route add 10.5.3.0/25 dev e0 proto static", "route 10.5.3.0/25 dev e0 proto static diverts traffic to peer n3 (10.5.3.0/24); remove it: ip route del 10.5.3.0/25 dev e0 proto static"},
		"route to one pod":                    {"ip route add 10.5.3.7 via 198.18.0.9", "route 10.5.3.7/32 via 198.18.0.9 dev u0 proto boot diverts traffic to peer n3 (10.5.3.0/24); remove it: ip route del 10.5.3.7/32 via 198.18.0.9 dev u0 proto boot"},
		"route with a lower metric":           {"ip route add 10.5.3.0/24 via 198.18.0.9 proto bird metric 32", "route 10.5.3.0/24 via 198.18.0.9 dev u0 proto bird metric 32 diverts traffic to peer n3 (10.5.3.0/24); remove it: ip route del 10.5.3.0/24 via 198.18.0.9 dev u0 proto bird metric 32"},
		"route of a type of service":          {"ip route add 10.5.3.0/24 tos 0x10 via 198.18.0.9 metric 200000 proto 99", "route 10.5.3.0/24 tos 0x10 via 198.18.0.9 dev u0 proto 99 metric 200000 diverts traffic to peer n3 (10.5.3.0/24); remove it: ip route del 10.5.3.0/24 tos 0x10 via 198.18.0.9 dev u0 proto 99 metric 200000"},
		"blackhole route":                     {"ip route add blackhole 10.5.3.0/26", "! route blackhole 10.5.3.0/26 proto boot diverts traffic to peer n3 (10.5.3.0/24); remove it: ip route del blackhole 10.5.3.0/26 proto boot"},
		"route without our gateway":           {"ip route add 10.5.3.0/25 dev podlane.1", "route 10.5.3.0/25 dev podlane.1 proto boot diverts traffic to peer n3 (10.5.3.0/24); remove it: ip route del 10.5.3.0/25 dev podlane.1 proto boot"},
		"route with several next hops":        {"ip route add 10.5.3.0/25 nexthop via 198.18.0.8 nexthop via 198.18.0.9", "route 10.5.3.0/25 proto boot diverts traffic to peer n3 (10.5.3.0/24); remove it: ip route del 10.5.3.0/25 proto boot"},
		"address of a peer's pod":             {"ip addr add 10.5.3.1/24 dev e0", "! address 10.5.3.1/24 dev e0 diverts traffic to peer n3 (10.5.3.0/24); remove it: ip addr del 10.5.3.1/24 dev e0"},
		"address whose peer is a pod":         {"ip addr add 192.0.2.1 peer 10.5.3.9/32 dev e0", "route 10.5.3.9/32 dev e0 proto kernel diverts traffic to peer n3 (10.5.3.0/24); remove it: ip route del 10.5.3.9/32 dev e0 proto kernel"},
		"IPv6 route to half of a peer's pods": {"ip -6 route add fd00:5:3::/65 dev e0", "route fd00:5:3::/65 dev e0 proto boot metric 1024 diverts traffic to peer n3 (fd00:5:3::/64); remove it: ip -6 route del fd00:5:3::/65 dev e0 proto boot metric 1024"},
		"IPv6 unreachable route":              {"ip -6 route add unreachable fd00:5:3::/64", "! route unreachable fd00:5:3::/64 dev lo proto boot metric 1024 diverts traffic to peer n3 (fd00:5:3::/64); remove it: ip -6 route del unreachable fd00:5:3::/64 dev lo proto boot metric 1024"},
		"IPv6 address":                        {"ip addr add fd00:5:3::9/128 dev e0 nodad", "! address fd00:5:3::9/128 dev e0 diverts traffic to peer n3 (fd00:5:3::/64); remove it: ip addr del fd00:5:3::9/128 dev e0"},

		"rule":                 {"ip rule add pref 100 to 10.5.0.0/16 lookup 9\nip route add default via 198.18.0.9 table 9", "! rule pref 100 from all to 10.5.0.0/16 lookup 9, whose table has 0.0.0.0/0 via 198.18.0.9 dev u0 proto boot, diverts traffic to pods before the main table; add a rule before it: ip rule add pref 99 to 10.5.0.0/16 lookup main"},
		"rule for pods":        {"ip rule add pref 100 from 10.5.1.0/24 lookup 300\nip route add default via 198.18.0.9 table 300", "! rule pref 100 from 10.5.1.0/24 lookup 300, whose table has 0.0.0.0/0 via 198.18.0.9 dev u0 proto boot, diverts traffic to pods before the main table; add a rule before it: ip rule add pref 99 to 10.5.0.0/16 lookup main"},
		"rule without a table": {"ip rule add pref 100 prohibit to 10.5.3.0/24", "! rule pref 100 from all to 10.5.3.0/24 prohibit diverts traffic to pods before the main table; add a rule before it: ip rule add pref 99 to 10.5.0.0/16 lookup main"},
		"inverted rule":        {"ip rule add pref 100 not from 192.0.2.0/24 lookup 9\nip route add 10.0.0.0/8 via 198.18.0.9 table 9", "! rule pref 100 not from 192.0.2.0/24 lookup 9, whose table has 10.0.0.0/8 via 198.18.0.9 dev u0 proto boot, diverts traffic to pods before the main table; add a rule before it: ip rule add pref 99 to 10.5.0.0/16 lookup main"},
		"IPv6 rule":            {"ip -6 rule add pref 100 unreachable", "! rule pref 100 from all unreachable diverts traffic to pods before the main table; add a rule before it: ip -6 rule add pref 99 to fd00:5::/32 lookup main"},
		"WireGuard without its rule for the main table": {"ip rule add pref 32765 not fwmark 0xca6c lookup 51820\nip route add default dev e0 table 51820", "! rule pref 32765 not from all fwmark 0xca6c/0xffffffff lookup 51820, whose table has 0.0.0.0/0 dev e0 proto boot, diverts traffic to pods before the main table; add a rule before it: ip rule add pref 32764 to 10.5.0.0/16 lookup main"},
		"rules of one table":                            {"ip rule add pref 100 lookup 9 suppress_prefixlength 0\nip rule add pref 101 lookup 9\nip rule add pref 102 from 192.0.2.0/24 lookup 9\nip route add default via 198.18.0.9 table 9", "! rule pref 101 from all lookup 9, whose table has 0.0.0.0/0 via 198.18.0.9 dev u0 proto boot, diverts traffic to pods before the main table; add a rule before it: ip rule add pref 100 to 10.5.0.0/16 lookup main"},
		"main table not used":                           {"ip rule del pref 32766", "! no IPv4 rule leads packets to pods to the main table; add it: ip rule add pref 32766 lookup main"},
		"WireGuard":                                     {"ip rule add pref 32764 lookup main suppress_prefixlength 0\nip rule add pref 32765 not fwmark 0xca6c lookup 51820\nip route add default dev e0 table 51820", ""},
		"rule, empty table":                             {"ip rule add pref 220 lookup 220", ""},
		"rule, a table that throws":                     {"ip rule add pref 220 lookup 220\nip route add throw 10.0.0.0/8 table 220\nip route add 192.0.2.0/24 dev e0 table 220", ""},
		"rule, our own pods":                            {"ip rule add pref 220 lookup 220\nip route add 10.5.1.0/24 dev e0 table 220", ""},
		"rule, suppressed":                              {"ip rule add pref 220 lookup 220 suppress_prefixlength 0\nip route add default dev e0 table 220", ""},
		"rule with a mark":                              {"ip rule add pref 100 fwmark 0x200/0xf00 lookup 9\nip route add default via 198.18.0.9 table 9", ""},
		"rule by interface":                             {"ip rule add pref 100 iif e0 lookup 9\nip route add default via 198.18.0.9 table 9", ""},
		"rule of another network":                       {"ip rule add pref 100 from 192.0.2.1 lookup 9\nip rule add pref 101 to 192.0.2.0/24 lookup 9\nip route add default via 198.18.0.9 table 9", ""},

		"rule of the node's address":            {"ip rule add pref 100 from 198.18.0.1 lookup 9\nip route add default via 198.18.0.9 table 9", diverts("100", "from 198.18.0.1/32 lookup 9")},
		"rule of the node's network":            {"ip rule add pref 100 from 198.18.0.0/24 lookup 9\nip route add default via 198.18.0.9 table 9", diverts("100", "from 198.18.0.0/24 lookup 9")},
		"rule of another address":               {"ip addr add 192.0.2.7/32 dev lo\nip rule add pref 100 from 192.0.2.0/24 lookup 9\nip route add default via 198.18.0.9 table 9", diverts("100", "from 192.0.2.0/24 lookup 9")},
		"rule of the node's packets":            {"ip rule add pref 100 iif lo lookup 9\nip route add default via 198.18.0.9 table 9", diverts("100", "from all iif lo lookup 9")},
		"rule of packets from the overlay":      {"ip rule add pref 100 iif podlane.1 lookup 9\nip route add default via 198.18.0.9 table 9", diverts("100", "from all iif podlane.1 lookup 9")},
		"rule of packets from the bridge":       {"ip addr add 10.5.1.1/24 dev e0\nip rule add pref 100 iif e0 lookup 9\nip route add default via 198.18.0.9 table 9", diverts("100", "from all iif e0 lookup 9")},
		"two such rules, one fix":               {"ip rule add pref 100 from 198.18.0.1 lookup 9\nip rule add pref 300 from 198.18.0.0/24 lookup 9\nip route add default via 198.18.0.9 table 9", diverts("100", "from 198.18.0.1/32 lookup 9") + "\n" + diverts("300", "from 198.18.0.0/24 lookup 9")},
		"rule with the first priority":          {"ip rule add pref 0 from 198.18.0.1 lookup 9\nip route add default via 198.18.0.9 table 9", "! rule pref 0 from 198.18.0.1/32 lookup 9, whose table has 0.0.0.0/0 via 198.18.0.9 dev u0 proto boot, diverts traffic to pods before the main table; remove it: ip rule del pref 0 from 198.18.0.1/32 lookup 9"},
		"rule, a table that drops a pod":        {"ip rule add pref 100 from 198.18.0.1 lookup 9\nip route add blackhole 10.5.3.7 table 9", "! rule pref 100 from 198.18.0.1/32 lookup 9, whose table has blackhole 10.5.3.7/32 proto boot, diverts traffic to pods before the main table; add a rule before it: ip rule add pref 99 to 10.5.0.0/16 lookup main"},
		"rule, not to our own pods":             {"ip addr add 10.5.1.1/24 dev e0\nip rule add pref 100 to 10.5.1.0/24 lookup 9\nip route add default via 198.18.0.9 table 9", diverts("100", "from all to 10.5.1.0/24 lookup 9")},
		"rule, a table with all pods":           {"ip addr add 10.5.1.1/24 dev e0\nip rule add pref 100 from 198.18.0.1 lookup 9\nip route add default via 198.18.0.9 table 9\nip route add 10.5.1.0/24 dev e0 table 9\nip route add 10.5.2.0/23 dev podlane.1 table 9\nip route add 10.5.4.0/24 via 10.5.4.0 dev podlane.1 onlink table 9", ""},
		"rule, a table without our pods":        {"ip addr add 10.5.1.1/24 dev e0\nip rule add pref 100 from 198.18.0.1 lookup 9\nip route add default via 198.18.0.9 table 9\nip route add 10.5.2.0/23 dev podlane.1 table 9\nip route add 10.5.4.0/24 dev podlane.1 table 9", diverts("100", "from 198.18.0.1/32 lookup 9")},
		"rule, its interface is down":           {"ip rule add pref 100 from 198.18.0.1 lookup 9\nip route add default dev e0 table 9\nip link set e0 down", ""},
		"rule after its fix":                    {"ip rule add pref 90 to 10.5.0.0/16 lookup main\nip rule add pref 100 from 198.18.0.1 lookup 9\nip route add default via 198.18.0.9 table 9", ""},
		"rule after the operator's fix":         {"ip rule add pref 90 from 198.18.0.1 to 10.5.0.0/16 lookup main\nip rule add pref 100 from 198.18.0.1 lookup 9\nip route add default via 198.18.0.9 table 9", ""},
		"rule after a fix for half of the pods": {"ip rule add pref 90 from 198.18.0.1 to 10.5.2.0/23 lookup main\nip rule add pref 100 from 198.18.0.1 lookup 9\nip route add default via 198.18.0.9 table 9", diverts("100", "from 198.18.0.1/32 lookup 9")},
		"rule that a goto skips":                {"ip rule add pref 90 goto 32766\nip rule add pref 100 from 198.18.0.1 lookup 9\nip route add default via 198.18.0.9 table 9", ""},
		"rule after one for packets from pods":  {"ip rule add pref 90 from 10.5.0.0/16 lookup main\nip rule add pref 100 from 198.18.0.1 lookup 9\nip route add default via 198.18.0.9 table 9", diverts("100", "from 198.18.0.1/32 lookup 9")},
		"rule after main, half of pods":         {"ip rule add pref 90 from 10.5.0.0/17 lookup main\nip rule add pref 100 to 10.5.0.0/16 lookup 9\nip route add default via 198.18.0.9 table 9", diverts("100", "from all to 10.5.0.0/16 lookup 9")},
		"rule of a user":                        {"ip rule add pref 100 uidrange 1000-1000 lookup 9\nip route add default via 198.18.0.9 table 9", "rule pref 100 from all lookup 9, whose table has 0.0.0.0/0 via 198.18.0.9 dev u0 proto boot, may divert traffic to pods before the main table: podlaned cannot tell which packets it matches"},
		"rule of a VRF":                         {"ip rule add pref 1000 l3mdev", "rule pref 1000 from all l3mdev may divert traffic to pods before the main table: podlaned cannot tell which packets it matches"},
		"rule of a bound socket":                {"ip rule add pref 100 oif u0 lookup 9\nip route add default via 198.18.0.9 table 9", ""},
		"IPv6 rule of the node's address":       {"ip -6 rule add pref 100 from 2001:db8::1 lookup 9\nip -6 route add default via 2001:db8::9 table 9", "! rule pref 100 from 2001:db8::1/128 lookup 9, whose table has ::/0 via 2001:db8::9 dev u0 proto boot metric 1024, diverts traffic to pods before the main table; add a rule before it: ip -6 rule add pref 99 to fd00:5::/32 lookup main"},
		"IPv6 rule of another node's address":   {"ip -6 rule add pref 100 from 2001:db8::7 lookup 9\nip -6 route add default via 2001:db8::9 table 9", ""},
		"rule after main":                       {"ip rule add pref 40000 lookup 9\nip route add default via 198.18.0.9 table 9", ""},
		"addresses of the bridge":               {"ip addr add 10.5.1.1/24 dev e0\nip addr add fd00:5:1::1/64 dev e0 nodad", ""},
		"routes to our own pods":                {"ip route add 10.5.1.7 dev e0\nip route add blackhole 10.5.1.128/25", ""},
		"route with a higher metric":            {"ip route add 10.5.3.0/24 via 198.18.0.9 metric 200000", ""},
		"route with a shorter prefix":           {"ip route add 10.5.0.0/16 via 198.18.0.9\nip route add 10.4.0.0/14 via 198.18.0.9\nip route add default via 198.18.0.9", ""},
		"route and address of no peer":          {"ip route add 10.5.99.0/24 via 198.18.0.9\nip addr add 10.5.98.1/24 dev e0", ""},
		"route with our next hop":               {"ip route add 10.5.3.0/24 via 10.5.3.0 dev podlane.1 onlink", ""},
		"route of another table":                {"ip route add 10.5.3.0/25 via 198.18.0.9 table 9", ""},
		"route outside the pod network":         {"ip route add 10.6.3.0/25 via 198.18.0.9", ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := newNode(t, network(t, configBoth, ""))
			d.run("ip link add e0 type veth peer name e1")
			d.run("ip link set e0 up")
			d.run("ip link set e1 up")
			d.apply(named(4))
			for command := range strings.Lines(c.command) {
				d.run(command)
			}
			r := d.applyAndScan(named(4))
			wantOps(t, r.Ops, "")
			if diff := cmp.Diff(c.want, found(r)); diff != "" {
				t.Errorf("found (-want +got):\n%s", diff)
			}
			if remove := remedy(c.want); remove != "" {
				d.run(remove)
				if r := d.applyAndScan(named(4)); found(r) != "" || len(r.Ops) != 0 {
					t.Errorf("after %q: found %s, and wrote:\n%s", remove, found(r), texts(r.Ops))
				}
			}
		})
	}
}

// diverts returns the problem of a rule that leads to table 9, which has a default route. The first such rule has
// priority 100.
func diverts(pref, rule string) string {
	return "! rule pref " + pref + " " + rule + ", whose table has 0.0.0.0/0 via 198.18.0.9 dev u0 proto boot, diverts traffic to pods " +
		"before the main table; add a rule before it: ip rule add pref 99 to 10.5.0.0/16 lookup main"
}

// found returns the problems and notes of a scan, one on each line. A problem begins with an exclamation mark.
func found(r backend.Report) string {
	var lines []string
	for _, p := range r.Problems {
		lines = append(lines, "! "+p)
	}
	return strings.Join(append(lines, r.Notes...), "\n")
}

// remedy returns the command in a problem or note.
func remedy(sentence string) string {
	_, after, _ := strings.Cut(sentence, " it: ")
	first, _, _ := strings.Cut(after, "\n")
	return first
}

// If the pod network contains the underlay, only the addresses of pods matter for a rule. The command in the problem
// affects no other packets.
func TestRulesIfThePodNetworkContainsTheUnderlay(t *testing.T) {
	const config = `{"Network":"10.0.0.0/8","SubnetLen":24,"SubnetMin":"10.5.0.0","SubnetMax":"10.6.255.0","Backend":{"Type":"vxlan"%s}}`
	n := network(t, config, "")
	d := newNode(t, n)
	d.run("ip addr add 10.240.0.1/16 dev u0")
	u := d.underlay()
	u.Addrs = append(u.Addrs, netip.MustParsePrefix("10.240.0.1/16"))
	b, err := New(n, u)
	if err != nil {
		t.Fatal(err)
	}
	d.backend = b
	d.run("ip route add default via 10.240.0.9 table 9")
	d.run("ip rule add pref 100 from 10.250.0.0/16 lookup 9") // no address of a pod or of the node
	d.apply(named(4))
	if got := found(d.applyAndScan(named(4))); got != "" {
		t.Errorf("a rule for other hosts: %s", got)
	}
	d.run("ip rule add pref 200 from 10.240.0.1 lookup 9")
	want := "! rule pref 200 from 10.240.0.1/32 lookup 9, whose table has 0.0.0.0/0 via 10.240.0.9 dev u0 proto boot, diverts traffic to pods before the main " +
		"table; add a rule before it: ip rule add pref 199 to 10.5.0.0/16 lookup main && ip rule add pref 199 to 10.6.0.0/16 lookup main"
	got := found(d.applyAndScan(named(4)))
	if got != want {
		t.Fatalf("found\n%s\nwant\n%s", got, want)
	}
	for command := range strings.SplitSeq(remedy(got), " && ") {
		d.run(command)
	}
	if got := found(d.applyAndScan(named(4))); got != "" {
		t.Errorf("after the remedy: %s", got)
	}
	if way := d.run("ip route get 10.9.9.9 from 10.240.0.1"); !strings.Contains(way, "table 9") {
		t.Errorf("the operator's rule no longer holds for other hosts: %s", way)
	}
}

func TestRouteDivertsTrafficOfADirectRoute(t *testing.T) {
	d := newNode(t, network(t, configIPv4, `"DirectRouting":true`))
	d.run("ip route add 10.5.3.0/24 via 198.18.0.9 metric 7")
	want := "route 10.5.3.0/24 via 198.18.0.9 dev u0 proto boot metric 7 diverts traffic to peer 10.5.3.0/24; " +
		"remove it: ip route del 10.5.3.0/24 via 198.18.0.9 dev u0 proto boot metric 7"
	if diff := cmp.Diff([]string{want}, d.applyAndScan(leases(3)).Notes); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}

// Another overlay has left its routes to all nodes. The number of notes is bounded.
func TestManyDivertingRoutes(t *testing.T) {
	d := newNode(t, network(t, configIPv4, ""))
	var batch strings.Builder
	for i := 2; i <= 40; i++ {
		fmt.Fprintf(&batch, "ip route add 10.5.%d.0/24 via 198.18.0.9\n", i)
	}
	if _, err := d.Run("sh", "-ec", batch.String()); err != nil {
		t.Fatal(err)
	}
	got := d.applyAndScan(leases(40)).Notes
	if len(got) != backend.MaxNotes || got[backend.MaxNotes-1] != "30 more addresses, routes and rules divert traffic to peers" {
		t.Errorf("%d notes: %q", len(got), got)
	}
}

func TestDivertedRoute(t *testing.T) {
	pods := netip.MustParsePrefix("10.5.0.0/16")
	routes := map[routeKey]route{}
	for p, base := range map[string]uint32{"10.5.3.0/24": metricTunnel, "10.5.4.0/24": metricDirect, "10.5.8.0/22": metricTunnel} {
		prefix := netip.MustParsePrefix(p)
		routes[routeKey{prefix: prefix, metric: base + subnetIndex(pods, prefix)}] = route{}
	}
	for _, c := range []struct {
		prefix string
		metric uint32
		want   string
	}{
		{"10.5.3.0/24", 0, "10.5.3.0/24"},
		{"10.5.3.0/24", metricTunnel + 2, "10.5.3.0/24"},
		{"10.5.3.0/24", metricTunnel + 3, ""},
		{"10.5.3.128/25", 1 << 30, "10.5.3.0/24"},
		{"10.5.4.0/24", metricDirect + 5, ""},
		{"10.5.4.7/32", 0, "10.5.4.0/24"},
		{"10.5.11.0/24", 0, "10.5.8.0/22"},
		{"10.5.12.0/24", 0, ""},
		{"10.5.0.0/16", 0, ""},
		{"0.0.0.0/0", 0, ""},
	} {
		key, found := divertedRoute(pods, netip.MustParsePrefix(c.prefix), c.metric, routes)
		if found != (c.want != "") || found && key.prefix.String() != c.want {
			t.Errorf("%s metric %d: %v, %v, want %s", c.prefix, c.metric, key.prefix, found, c.want)
		}
	}
}
