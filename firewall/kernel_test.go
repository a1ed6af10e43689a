package firewall

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/podlane/podlane/subnet"
)

// The conditions and verdicts from which random rules are made. Some match the peer's VXLAN, some do not, and some depend
// on values that the evaluation does not know.
var (
	nftConditions = strings.Split(`udp dport 8472|udp dport 8000-9000|udp dport != 8472|udp dport { 53, 8472 }|udp dport { 1-100, 9000-9999 }|ip saddr 198.18.0.0/24|`+
		`ip saddr != 198.18.0.2|ip saddr { 198.18.0.0/16, 10.0.0.0/8 }|ip saddr != { 198.18.0.0/30, 10.0.0.0/8 }|ip daddr 198.18.0.1|ip daddr 198.18.0.4/30|iifname "eth0"|`+
		`iifname != "eth0"|iifname "et*"|iif lo|oifname "eth0"|iifname { "lo", "eth0" }|ct state new|ct state established,related|ct state untracked|ct state != untracked|`+
		`ct state { new, untracked }|ct status dnat|meta l4proto udp|meta l4proto { tcp, icmp }|meta mark 7|meta mark & 0xff != 0|fib daddr type local|`+
		`fib daddr type { broadcast, multicast }|ip frag-off & 0x1fff == 0|ip protocol udp|udp sport > 1023|ip saddr . udp dport { 198.18.0.2 . 8472, 198.18.0.3 . 53 }|`+
		`ip saddr & 255.0.0.0 == 198.0.0.0|@th,96,24 0x1|@th,96,24 0x2|limit rate 1000/second|ip ttl > 200|ip saddr 198.18.0.1-198.18.0.9|meta protocol ip|th dport >= 8473|meta l4proto . th dport { tcp . 22, udp . 8000-9000 }|meta mark 16-32`, "|")
	nftVerdicts = strings.Split("accept|drop|reject|return|continue|counter|jump more|goto more|accept|drop", "|")

	iptablesConditions = strings.Split(`-p udp --dport 8472|-p udp ! --dport 8472|-p udp --dport 8000:9000 --sport 1024:65535|-s 198.18.0.0/24|! -s 198.18.0.2|-d 198.18.0.1|-d 10.0.0.0/8|-i eth0|! -i eth0|`+
		`-i et+|-m conntrack --ctstate NEW|-m conntrack ! --ctstate NEW,ESTABLISHED|-m state --state UNTRACKED|-p udp -m state --state NEW -m udp --dport 8472|-p udp -m multiport --dports 53,8000:9000|`+
		`-p udp -m multiport ! --dports 53,8472|-m addrtype --dst-type LOCAL|-m addrtype ! --dst-type BROADCAST,MULTICAST|-p tcp|! -p tcp|-p 17|-m mark --mark 0x1/0x1|-m comment --comment 'a "b" -j'|`+
		`-m limit --limit 1000/second|-f|-m pkttype --pkt-type unicast|-m conntrack --ctstate UNTRACKED -s 198.18.0.0/16`, "|")
	iptablesVerdicts = strings.Split("-j ACCEPT|-j DROP|-j REJECT|-j RETURN|-j LOG|-j MORE|-g MORE|-j ACCEPT|-j DROP", "|")
)

// The evaluation of random rules matches the kernel: packets that it reports as dropped do not arrive, and packets without
// a finding do.
func TestOutcomesMatchTheKernel(t *testing.T) {
	const seed, rounds = 12, 45
	w := newOverlayWires(t)
	r := with(func(r *Rules) { r.Underlay = Interface{Name: "eth0"}; r.Addrs = attached.Addrs; r.Peers = r.Peers[1:2] })
	random := rand.New(rand.NewPCG(seed, seed))
	send := w.outside.sends(peerAt[subnet.IPv4], to8472(nodeAt[subnet.IPv4]), vxlan(1))
	w.node.sh("nft add table inet count; nft add chain inet count c '{ type filter hook prerouting priority -350; }'; nft add rule inet count c udp dport 8472 counter")
	var dropped, accepted, uncertain int
	for i := range rounds {
		script := randomRules(random, i%3)
		if _, err := w.node.ns.Run("sh", "-e", "-c", script); err != nil {
			continue // the conditions contradict each other
		}
		w.node.apply(r)
		before, seen := w.ours[subnet.IPv4](), counted(w.node)
		send(few)
		within(t, "the packets do not reach the node", func() bool { return counted(w.node) >= seen+few })
		arrived := func() uint64 { return w.ours[subnet.IPv4]() - before }
		switch problems, notes := w.node.Problems(), w.node.Advice(); {
		case len(problems) > 0:
			dropped++
			if arrived() > 0 {
				t.Errorf("%s\n%d packets arrive in spite of the problem\n%s", script, arrived(), strings.Join(problems, "\n"))
			}
		case len(notes) > 0:
			uncertain++
		default:
			accepted++
			within(t, script+"\nthe packets do not arrive, and there is no problem or note", func() bool { return arrived() == few })
		}
	}
	t.Logf("seed %d: %d certainly dropped, %d certainly accepted, %d uncertain", seed, dropped, accepted, uncertain)
	if dropped < rounds/6 || accepted < rounds/6 || uncertain > rounds/2 {
		t.Error("the random rules prove too little: choose another seed")
	}
}

// counted returns how many VXLAN packets have arrived at a node, before any rule.
func counted(n *node) (count int) {
	n.Helper()
	_, text, _ := strings.Cut(n.sh("nft list chain inet count c"), "counter packets ")
	if _, err := fmt.Sscan(text, &count); err != nil {
		n.Fatal(err)
	}
	return count
}

// randomRules returns a random rule set of input for nft, iptables-nft or iptables-legacy. It replaces the one before.
func randomRules(random *rand.Rand, kind int) string {
	one := func(of []string) string { return of[random.IntN(len(of))] }
	clear := "nft delete table inet site 2>/dev/null || true; for p in iptables-nft iptables-legacy; do $p -F; $p -X; $p -P INPUT ACCEPT; done\n"
	if kind == 0 {
		rule := func() string {
			text := ""
			for range 1 + random.IntN(2) {
				text += one(nftConditions) + " "
			}
			return text + one(nftVerdicts) + "\n"
		}
		policy := one([]string{"accept", "drop"})
		last := strings.ReplaceAll(strings.ReplaceAll(rule(), "jump more", "accept"), "goto more", "drop")
		return clear + fmt.Sprintf("nft -f - <<X\ntable inet site {\nchain more {\n%s}\nchain in {\ntype filter hook input priority 0; policy %s;\n%s%s%s}\n}\nX\n", last, policy, rule(), rule(), rule())
	}
	program := []string{"", "iptables-nft", "iptables-legacy"}[kind]
	rule := func() string {
		text := " "
		if random.IntN(8) > 0 {
			text += one(iptablesConditions) + " "
		}
		return text + one(iptablesVerdicts) + "\n"
	}
	last := strings.ReplaceAll(strings.ReplaceAll(rule(), "-j MORE", "-j ACCEPT"), "-g MORE", "-j DROP")
	script := clear + program + " -N MORE\n" + program + " -A MORE" + last
	for range 4 {
		script += program + " -A INPUT" + rule()
	}
	return script + program + " -P INPUT " + one([]string{"ACCEPT", "DROP"})
}
