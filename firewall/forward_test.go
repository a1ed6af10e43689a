package firewall

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/podlane/podlane/subnet"
)

// dropped makes FORWARD chains like Docker's.
const dropped = `
iptables-nft -P FORWARD DROP; iptables-nft -N DOCKER; iptables-nft -A FORWARD -o docker0 -m conntrack --ctstate ESTABLISHED -j ACCEPT
ip6tables-nft -P FORWARD DROP; ip6tables-nft -A FORWARD -o docker0 -j DOCKER 2>/dev/null || true`

func TestForwardPolicyDrop(t *testing.T) {
	n := newNode(t, "node")
	n.sh(dropped)
	ops := words(n.apply(dual))
	for _, want := range []string{
		`add rule ip filter FORWARD ip saddr 10.5.0.0/16 counter accept comment "podlane"`,
		`add rule ip filter FORWARD ip daddr 10.5.0.0/16 counter accept comment "podlane"`,
		`add rule ip6 filter FORWARD ip6 saddr fd00:5::/48 counter accept comment "podlane"`,
		`add rule ip6 filter FORWARD ip6 daddr fd00:5::/48 counter accept comment "podlane"`,
	} {
		if !strings.Contains(ops, want) {
			t.Errorf("ops:\n%s\nwant %s", ops, want)
		}
	}
	equal(t, "iptables", n.sh("iptables-nft -S FORWARD"), `-P FORWARD DROP
-A FORWARD -d 10.5.0.0/16 -m comment --comment podlane -j ACCEPT
-A FORWARD -s 10.5.0.0/16 -m comment --comment podlane -j ACCEPT
-A FORWARD -o docker0 -m conntrack --ctstate ESTABLISHED -j ACCEPT`)
	equal(t, "ip6tables", n.sh("ip6tables-nft -S FORWARD"), `-P FORWARD DROP
-A FORWARD -d fd00:5::/48 -m comment --comment podlane -j ACCEPT
-A FORWARD -s fd00:5::/48 -m comment --comment podlane -j ACCEPT`)
	n.sh("iptables-nft -C FORWARD -s 10.5.0.0/16 -m comment --comment podlane -j ACCEPT")
	n.quiet(dual)
}

func TestForwardPrefixWithinAByte(t *testing.T) {
	n := newNode(t, "node")
	n.sh(dropped)
	r := dual
	r.Network.IPv4.Prefix = netip.MustParsePrefix("10.0.0.0/13")
	n.apply(r)
	n.sh("iptables-nft -C FORWARD -s 10.0.0.0/13 -m comment --comment podlane -j ACCEPT")
	n.sh("iptables-nft-save > /run/saved; iptables-nft-restore < /run/saved")
	n.quiet(r)
}

func TestForwardPolicyAccept(t *testing.T) {
	n := newNode(t, "node")
	n.sh("iptables-nft -P FORWARD ACCEPT; ip6tables-nft -L")
	before := n.sh("iptables-nft-save; ip6tables-nft-save") // it prints the time in comments
	n.apply(dual)
	equal(t, "iptables", rules(n.sh("iptables-nft-save; ip6tables-nft-save")), rules(before))
	n.quiet(dual)
	n.sh("iptables-nft -P FORWARD DROP")
	n.apply(dual)
	n.sh("iptables-nft -P FORWARD ACCEPT")
	n.quiet(dual)
	if got := n.sh("iptables-nft -S FORWARD"); strings.Count(got, "podlane") != 2 {
		t.Errorf("podlane's rules changed when the policy returned to ACCEPT:\n%s", got)
	}
}

func rules(saved string) string {
	var lines []string
	for line := range strings.Lines(saved) {
		if !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

func TestForwardIsRepaired(t *testing.T) {
	const both = `-A FORWARD -d 10.5.0.0/16 -m comment --comment podlane -j ACCEPT
-A FORWARD -s 10.5.0.0/16 -m comment --comment podlane -j ACCEPT`
	for name, c := range map[string]struct {
		edit  string
		quiet bool // nothing needs a repair
	}{
		"one deleted":       {"iptables-nft -D FORWARD -s 10.5.0.0/16 -m comment --comment podlane -j ACCEPT", false},
		"flushed":           {"iptables-nft -F FORWARD", false},
		"one twice":         {"iptables-nft -A FORWARD -s 10.5.0.0/16 -m comment --comment podlane -j ACCEPT", false},
		"other network":     {"iptables-nft -I FORWARD -s 10.9.0.0/16 -m comment --comment podlane -j ACCEPT", false},
		"turned into DROP":  {"iptables-nft -R FORWARD 1 -d 10.5.0.0/16 -m comment --comment podlane -j DROP", false},
		"saved, restored":   {"iptables-nft-save > /run/saved; iptables-nft-restore < /run/saved", true},
		"others added":      {"iptables-nft -I FORWARD -s 10.5.0.0/16 -j LOG 2>/dev/null || iptables-nft -I FORWARD -p tcp -j RETURN", true},
		"iptables' wording": {"iptables-nft -F FORWARD; iptables-nft -A FORWARD -s 10.5.0.0/16 -m comment --comment podlane -j ACCEPT; iptables-nft -A FORWARD -d 10.5.0.0/16 -m comment --comment podlane -j ACCEPT", true},
		"counted":           {"iptables-nft -Z", true},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, "node")
			n.sh("iptables-nft -P FORWARD DROP; iptables-nft -A FORWARD -o docker0 -j ACCEPT")
			n.apply(dual)
			n.sh(c.edit)
			if c.quiet {
				n.quiet(dual)
				return
			}
			for _, op := range n.apply(dual) {
				if op.Verb == "add" && !op.Drift {
					t.Errorf("%s: not reported as drift", op)
				}
			}
			got := n.sh("iptables-nft -S FORWARD")
			for want := range strings.Lines(both) {
				if strings.Count(got, strings.TrimSpace(want)) != 1 {
					t.Errorf("chain:\n%s\nwant once\n%s", got, want)
				}
			}
			if strings.Count(got, "podlane") != 2 {
				t.Errorf("chain:\n%s\nwant two rules of podlane", got)
			}
			n.quiet(dual)
		})
	}
}

func TestForwardFollowsThePodNetwork(t *testing.T) {
	n := newNode(t, "node")
	n.sh("iptables-nft -P FORWARD DROP")
	n.apply(dual)
	r := dual
	r.Network = subnet.Network{IPv4: subnet.Range{Prefix: netip.MustParsePrefix("10.77.0.0/16")}}
	r.Subnet = subnet.Pair{IPv4: netip.MustParsePrefix("10.77.1.0/24")}
	n.apply(r)
	equal(t, "iptables", n.sh("iptables-nft -S FORWARD"), `-P FORWARD DROP
-A FORWARD -d 10.77.0.0/16 -m comment --comment podlane -j ACCEPT
-A FORWARD -s 10.77.0.0/16 -m comment --comment podlane -j ACCEPT`)
}

func TestForwardCleanup(t *testing.T) {
	n := newNode(t, "node")
	n.sh(dropped)
	before := rules(n.sh("iptables-nft-save; ip6tables-nft-save"))
	n.apply(dual)
	n.sh("iptables-nft-save > /run/saved; iptables-nft-restore < /run/saved")
	n.cleanup()
	equal(t, "iptables", rules(n.sh("iptables-nft-save; ip6tables-nft-save")), before)
}
