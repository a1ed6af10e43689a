package firewall

import (
	"strings"
	"testing"

	"github.com/podlane/podlane/subnet"
)

func TestLegacyPolicyDrop(t *testing.T) {
	n := newNode(t, "node")
	n.sh("iptables-legacy -P FORWARD DROP; iptables-legacy -A FORWARD -o docker0 -j ACCEPT; ip6tables-legacy -P FORWARD DROP")
	ops := words(n.apply(dual))
	if want := "add rule iptables-legacy FORWARD -s 10.5.0.0/16 -m comment --comment podlane -j ACCEPT"; !strings.Contains(ops, want) {
		t.Errorf("ops:\n%s\nwant %s", ops, want)
	}
	equal(t, "iptables-legacy", n.sh("iptables-legacy -S FORWARD; ip6tables-legacy -S FORWARD"), `-P FORWARD DROP
-A FORWARD -d 10.5.0.0/16 -m comment --comment podlane -j ACCEPT
-A FORWARD -s 10.5.0.0/16 -m comment --comment podlane -j ACCEPT
-A FORWARD -o docker0 -j ACCEPT
-P FORWARD DROP
-A FORWARD -d fd00:5::/48 -m comment --comment podlane -j ACCEPT
-A FORWARD -s fd00:5::/48 -m comment --comment podlane -j ACCEPT`)
	n.quiet(dual)
	n.sh("iptables-legacy -D FORWARD 1; iptables-legacy -I FORWARD -s 10.9.0.0/16 -m comment --comment podlane -j ACCEPT")
	equal(t, "ops", words(n.apply(dual)), `delete rule iptables-legacy FORWARD -s 10.9.0.0/16 -m comment --comment podlane -j ACCEPT (drift)
add rule iptables-legacy FORWARD -d 10.5.0.0/16 -m comment --comment podlane -j ACCEPT (drift)`)
	n.cleanup()
	equal(t, "after cleanup", n.sh("iptables-legacy -S FORWARD; ip6tables-legacy -S FORWARD"), `-P FORWARD DROP
-A FORWARD -o docker0 -j ACCEPT
-P FORWARD DROP`)
}

func TestLegacyPolicyAccept(t *testing.T) {
	n := newNode(t, "node")
	n.sh("iptables-legacy -L")
	n.apply(dual)
	equal(t, "iptables-legacy", n.sh("iptables-legacy -S FORWARD"), "-P FORWARD ACCEPT")
}

func TestLegacyTablesAreNotCreated(t *testing.T) {
	n := newNode(t, "node")
	n.apply(dual)
	n.cleanup()
	equal(t, "iptables-legacy's tables", n.sh("cat /proc/thread-self/net/ip_tables_names /proc/thread-self/net/ip6_tables_names"), "")
}

func TestLegacyWithoutItsProgram(t *testing.T) {
	n := newNode(t, "node")
	n.sh("iptables-legacy -P FORWARD DROP")
	t.Setenv("PATH", t.TempDir())
	for _, op := range n.apply(dual) {
		if strings.Contains(op.Object, "legacy") {
			t.Errorf("%s without the program", op)
		}
	}
	equal(t, "advice", strings.Join(n.Advice(), "\n"), "podlaned cannot read iptables-legacy's filter table: the program iptables-legacy is not installed, or podlaned lacks CAP_NET_RAW; "+
		"if its chain FORWARD drops everything, by its policy or by a rule, run: iptables-legacy -I FORWARD -s 10.5.0.0/16 -m comment --comment podlane -j ACCEPT && iptables-legacy -I FORWARD -d 10.5.0.0/16 -m comment --comment podlane -j ACCEPT")
}

func TestPlanLegacy(t *testing.T) {
	want := legacyRules(dual.normalized().podPrefixes(subnet.IPv4))
	for name, c := range map[string]struct{ listing, changes string }{
		"accept":            {"-P FORWARD ACCEPT", ""},
		"drop":              {"-P FORWARD DROP", "-I FORWARD -s 10.5.0.0/16 -m comment --comment podlane -j ACCEPT\n-I FORWARD -d 10.5.0.0/16 -m comment --comment podlane -j ACCEPT"},
		"installed":         {"-P FORWARD DROP\n" + strings.Join(want, "\n"), ""},
		"installed, accept": {"-P FORWARD ACCEPT\n" + want[0], ""},
		"twice":             {"-P FORWARD ACCEPT\n" + want[0] + "\n" + want[0], "-D FORWARD -s 10.5.0.0/16 -m comment --comment podlane -j ACCEPT"},
		"another comment":   {"-P FORWARD ACCEPT\n-A FORWARD -m comment --comment podlane-not -j ACCEPT", ""},
		"no output":         {"", ""},
	} {
		changes, _ := planLegacy(c.listing, want, forwardedPackets(dual, subnet.IPv4))
		var lines []string
		for _, args := range changes {
			lines = append(lines, strings.Join(args, " "))
		}
		equal(t, name, strings.Join(lines, "\n"), c.changes)
	}
}

// `iptables-legacy -S` prints other programs' rules too. Only rules with podlane's mark are deleted, and correct ones stay.
func FuzzPlanLegacy(f *testing.F) {
	want := legacyRules(dual.normalized().podPrefixes(subnet.IPv4))
	for _, seed := range []string{"", "-P FORWARD DROP", "-P FORWARD DROP\n" + want[0], want[1] + "\n" + want[1], "-A FORWARD -m comment --comment podlane -j DROP", " --comment podlane ", "\x00\n\r-A"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, listing string) {
		changes, inPlace := planLegacy(listing, want, forwardedPackets(dual, subnet.IPv4))
		deleted, added := 0, 0
		for _, args := range changes {
			switch args[0] {
			case "-D":
				deleted++
			case "-I":
				added++
			default:
				t.Errorf("%q: %q", listing, args)
			}
		}
		if len(inPlace) > len(want) || added > len(want)-len(inPlace) || deleted > strings.Count(listing, " --comment "+mark+" ") {
			t.Errorf("%q: in place %q, changes %q", listing, inPlace, changes)
		}
	})
}
