package firewall

import (
	"net/netip"
	"strings"
	"testing"
)

// attached is dual on a node whose interfaces are known.
var attached = with(func(r *Rules) {
	r.Underlay, r.Overlay = Interface{"eth0", 102}, [...]Interface{{"podlane.1", 103}, {"podlane-v6.1", 104}}
	r.PodInterfaces, r.Bridge.Interface = []string{"cni0"}, Interface{"cni0", 101}
	r.Addrs = []netip.Addr{netip.MustParseAddr("198.18.0.1"), netip.MustParseAddr("2001:db8::1")}
})

// links creates the interfaces of attached.
const links = "ip link add cni0 index 101 type bridge; ip link add eth0 index 102 type veth peer name podlane.1 index 103; ip link add podlane-v6.1 index 104 type bridge\n"

const (
	site     = "nft add table inet site; "
	transit  = site + "nft add chain inet site transit '{ type filter hook forward priority 0; policy accept; }'; "
	strict   = site + "nft add chain inet site transit '{ type filter hook forward priority 0; policy drop; }'; "
	input    = site + "nft add chain inet site in '{ type filter hook input priority 0; policy accept; }'; "
	closed   = site + "nft add chain inet site in '{ type filter hook input priority 0; policy drop; }'; "
	outgoing = site + "nft add chain inet site out '{ type filter hook output priority 0; policy drop; }'; "
	pre      = site + "nft add chain inet site pre '{ type filter hook prerouting priority %d; policy accept; }'; "
	frames   = "nft add table bridge site; nft add chain bridge site f '{ type filter hook forward priority 0; policy drop; }'; "
)

// betweenNodes accepts what leaves the node's pods for the overlay, and what comes from it.
const betweenNodes = `nft add rule inet site transit iifname . oifname '{ "cni0" . "podlane.1", "podlane.1" . "cni0", "cni0" . "podlane-v6.1", "podlane-v6.1" . "cni0" }' accept`

// Chains of IP cannot drop packets of a bridge that they do not see.
func TestDropOnAHiddenBridge(t *testing.T) {
	n := newNode(t, "node")
	n.sh(links + strict + betweenNodes)
	hidden := attached
	hidden.BridgeHidden = true
	n.apply(hidden)
	if got := append(n.Problems(), n.Advice()...); len(got) > 0 {
		t.Errorf("got problems and notes, want none:\n%s", strings.Join(got, "\n"))
	}
}

func onInterface(hook string) string {
	return "nft add table netdev site; nft add chain netdev site c '{ type filter hook " + hook + " priority 0; }'; "
}

// If another program's rules certainly drop packets, there is a problem, and its commands fix it.
func TestRulesThatCertainlyDrop(t *testing.T) {
	for name, c := range map[string]struct{ script, want string }{
		"a chain whose policy drops":    {strict, "chain inet site transit drops packets from pods to other nodes, packets from other nodes to pods (its policy)"},
		"a rule that drops everything":  {transit + "nft add rule inet site transit drop", "chain inet site transit drops packets from pods"},
		"a rule that rejects":           {transit + "nft add rule inet site transit counter reject", "(rule handle 2 of chain transit)"},
		"a comment":                     {transit + "nft add rule inet site transit drop comment no", "chain inet site transit drops packets from pods"},
		"a chain that it jumps to":      {transit + "nft add chain inet site more; nft add rule inet site more drop; nft add rule inet site transit jump more", "chain inet site transit drops packets from pods"},
		"three chains deep, by goto":    {transit + "nft add chain inet site a; nft add chain inet site b; nft add rule inet site b ip saddr 192.0.2.1 return; nft add rule inet site b drop; nft add rule inet site a goto b; nft add rule inet site transit jump a", "chain inet site transit drops packets from pods"},
		"by the name of the bridge":     {transit + "nft add rule inet site transit iifname cni0 drop", "drops packets from pods to other nodes (rule"},
		"by the index of the bridge":    {transit + "nft add rule inet site transit oif cni0 drop", "drops packets from other nodes to pods (rule"},
		"by a part of a name":           {transit + "nft add rule inet site transit 'iifname \"podlane*\"' drop", "drops packets from other nodes to pods (rule"},
		"all but some interfaces":       {transit + "nft add rule inet site transit 'iifname != { \"lo\", \"docker0\" }' drop", "drops packets from pods to other nodes, packets from other"},
		"by prefix":                     {transit + "nft add rule inet site transit ip daddr 10.0.0.0/8 drop", "drops packets from pods to other nodes, packets from other nodes"},
		"by a prefix within a byte":     {transit + "nft add rule inet site transit ip saddr 10.4.0.0/14 drop", "drops packets from pods to other nodes, packets from other nodes"},
		"by a range":                    {transit + "nft add rule inet site transit ip saddr 10.0.0.0-10.6.0.7 drop", "drops packets from pods to other nodes, packets from other nodes"},
		"by a set of prefixes":          {transit + "nft add rule inet site transit ip saddr '{ 10.0.0.0/8, 192.168.0.0/16 }' drop", "drops packets from pods to other nodes, packets from other nodes"},
		"not in a set of prefixes":      {strict + "nft add rule inet site transit ip saddr '{ 172.16.0.0/12, 192.168.0.0/16 }' accept", "drops packets from pods to other nodes, packets from other nodes"},
		"by a verdict map":              {transit + "nft add rule inet site transit iifname vmap '{ \"cni0\" : drop, \"lo\" : accept }'", "drops packets from pods to other nodes (rule"},
		"accepted to and from others":   {strict + betweenNodes, "chain inet site transit drops packets between pods of this node (its policy)"},
		"new connections":               {transit + "nft add rule inet site transit ct state established,related accept; nft add rule inet site transit ct state new drop", "drops packets from pods"},
		"only ping is accepted":         {strict + "nft add rule inet site transit meta l4proto '{ icmp, ipv6-icmp }' accept", "chain inet site transit drops packets from pods"},
		"only IPv6":                     {"nft add table ip6 site; nft add chain ip6 site transit '{ type filter hook forward priority 0; policy drop; }'", "chain ip6 site transit drops packets from pods"},
		"in mangle":                     {"iptables-nft -t mangle -A FORWARD -j DROP", "chain ip mangle FORWARD drops packets from pods"},
		"in prerouting":                 {site + "nft add chain inet site pre '{ type filter hook prerouting priority -150; }'; nft add rule inet site pre iifname cni0 drop", "chain inet site pre drops packets from pods to other nodes"},
		"iptables' FORWARD, by a match": {"iptables-nft -A FORWARD -i cni0 -j REJECT", "chain ip filter FORWARD drops packets from pods to other nodes (rule handle"},
		"not tracked yet":               {site + "nft add chain inet site pre '{ type filter hook prerouting priority -250; }'; nft add rule inet site pre ct state invalid iifname cni0 drop", "chain inet site pre drops packets from pods"},

		"input whose policy drops":         {closed, "chain inet site in drops VXLAN from 198.18.0.2, VXLAN from 2001:db8::2 (its policy); to let them through, run: nft insert rule inet site in udp dport 8472 accept"},
		"input that rejects":               {input + "nft add rule inet site in udp dport 8472 reject", "chain inet site in drops VXLAN from 198.18.0.2"},
		"by a peer's address":              {input + "nft add rule inet site in ip saddr 198.18.0.0/24 udp dport 8000-9000 drop", "chain inet site in drops VXLAN from 198.18.0.2 (rule"},
		"accepted of another peer":         {closed + "nft add rule inet site in meta nfproto ipv6 accept; nft add rule inet site in ip saddr 198.18.0.3 udp dport 8472 accept", "chain inet site in drops VXLAN from 198.18.0.2 (its policy)"},
		"accepted on another interface":    {closed + "nft add rule inet site in iifname eth1 udp dport 8472 accept", "chain inet site in drops VXLAN from"},
		"accepted at another port":         {closed + "nft add rule inet site in udp dport '{ 53, 4789 }' accept", "chain inet site in drops VXLAN from"},
		"accepted by other ranges":         {closed + "nft add rule inet site in 'meta l4proto . th dport { tcp . 22, udp . 8000-8471 } accept'", "chain inet site in drops VXLAN from"},
		"accepted if new":                  {closed + "nft add rule inet site in ct state established,related accept; nft add rule inet site in ct state new udp dport 8472 accept", "must have NEW,UNTRACKED; to let them through, run: nft insert rule inet site in ct state new,untracked udp dport 8472 accept"},
		"accepted by a state map":          {closed + "nft add rule inet site in ct state vmap '{ established : accept, new : accept }'", "must have NEW,UNTRACKED"},
		"iptables, if new":                 {"iptables-nft -A INPUT -p udp --dport 8472 -m conntrack --ctstate NEW -j ACCEPT; iptables-nft -A INPUT -j REJECT", "must have NEW,UNTRACKED"},
		"iptables, by its match \"state\"": {"iptables-nft -A INPUT -m state --state NEW -p udp -m udp --dport 8472 -j ACCEPT; iptables-nft -P INPUT DROP", "must have NEW,UNTRACKED"},
		"iptables, several ports":          {"iptables-nft -A INPUT -p udp -m multiport --dports 53,8000:9000 -j DROP", "chain ip filter INPUT drops VXLAN from 198.18.0.2"},
		"RHEL's input":                     {rhel("iptables-nft"), "chain ip filter INPUT drops VXLAN from 198.18.0.2"},
		"raw, before any state":            {"iptables-nft -t raw -A PREROUTING -p udp --dport 8472 -j DROP", "chain ip raw PREROUTING drops VXLAN from"},
		"output whose policy drops":        {outgoing, "chain inet site out drops VXLAN to 198.18.0.2"},
		"an interface's ingress":           {"nft add table netdev site; nft add chain netdev site in '{ type filter hook ingress device eth0 priority 0; }'; nft add rule netdev site in udp dport 8472 drop", "chain netdev site in drops VXLAN from 198.18.0.2"},

		"of the bridge's interface":    {onInterface("ingress device cni0") + "nft add rule netdev site c drop", "chain netdev site c drops packets from pods to other nodes (rule handle"},
		"the overlay device's ingress": {onInterface("ingress device podlane.1") + "nft add rule netdev site c meta protocol ip drop", "chain netdev site c drops packets from other nodes to pods (rule handle"},
		"an interface's egress":        {onInterface("egress device eth0") + "nft add rule netdev site c udp dport 8472 drop", "chain netdev site c drops VXLAN to 198.18.0.2"},
		"the overlay device's egress":  {onInterface("egress device podlane.1") + "nft add rule netdev site c ip daddr 10.5.0.0/16 drop", "chain netdev site c drops packets from pods to other nodes (rule handle"},
		"inet, the bridge's ingress":   {site + "nft add chain inet site c '{ type filter hook ingress device cni0 priority 0; policy drop; }'", "chain inet site c drops packets from pods to other nodes (its policy)"},

		"a bridge's forward": {frames, "chain bridge site f drops pods' IPv4 packets on cni0, pods' ARP packets on cni0, pods' IPv6 packets on cni0, pods' neighbour discovery on cni0 (its policy); to let them through, run: nft insert rule bridge site f ip saddr 10.5.0.0/16 accept && nft insert rule bridge site f ip daddr 10.5.0.0/16 accept && nft insert rule bridge site f ether type arp accept && nft"},
		"a bridge's ARP":     {frames + "nft add rule bridge site f ether type ip accept; nft add rule bridge site f ether type ip6 accept", "chain bridge site f drops pods' ARP packets on cni0"},
		"a bridge's IPv6":    {frames + "nft add rule bridge site f meta protocol '{ ip, arp }' accept", "chain bridge site f drops pods' IPv6 packets on cni0"},
		"a bridge's output":  {"nft add table bridge site; nft add chain bridge site o '{ type filter hook output priority 0; policy drop; }'", "chain bridge site o drops pods' IPv4 packets on cni0"},

		"legacy input":                {"iptables-legacy -A INPUT -p udp --dport 8472 -j REJECT", "iptables-legacy's chain INPUT drops VXLAN from 198.18.0.2 (rule -A INPUT -p udp -m udp --dport 8472 -j REJECT --reject-with icmp-port-unreachable); to let them through, run: iptables-legacy -I INPUT -p udp -m udp --dport 8472 -j ACCEPT"},
		"legacy input's policy":       {"ip6tables-legacy -P INPUT DROP", "ip6tables-legacy's chain INPUT drops VXLAN from 2001:db8::2 (its policy)"},
		"legacy input, if new":        {"iptables-legacy -A INPUT -p udp --dport 8472 -m state --state NEW -j ACCEPT; iptables-legacy -A INPUT -j DROP", "run: iptables-legacy -I INPUT -p udp -m udp --dport 8472 -m conntrack --ctstate NEW,UNTRACKED -j ACCEPT"},
		"legacy forward, by a match":  {"iptables-legacy -A FORWARD -o cni0 -m conntrack --ctstate NEW -j DROP", "iptables-legacy's chain FORWARD drops packets from other nodes to pods"},
		"legacy, through a chain":     {"iptables-legacy -N FW; iptables-legacy -A FW -p tcp -j ACCEPT; iptables-legacy -A FW -j DROP; iptables-legacy -A INPUT -g FW", "iptables-legacy's chain INPUT drops VXLAN from"},
		"legacy, accepted by comment": {"iptables-legacy -P INPUT DROP; iptables-legacy -A INPUT -p tcp -m comment --comment 'a \"b c\" -j ACCEPT' -j ACCEPT", "iptables-legacy's chain INPUT drops VXLAN from"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, "node")
			n.sh(links + c.script)
			n.apply(attached)
			if got := strings.Join(n.Problems(), "\n"); !strings.Contains(got, c.want) {
				t.Fatalf("got problems:\n%s\nand notes:\n%s\nwant the problem %q", got, strings.Join(n.Advice(), "\n"), c.want)
			}
			n.quiet(attached)
			for _, p := range n.Problems() {
				_, commands, _ := strings.Cut(p, "run: ")
				n.sh(commands)
			}
			n.apply(attached)
			if got := n.Problems(); len(got) > 0 {
				t.Errorf("after the problem's commands there are still problems:\n%s", strings.Join(got, "\n"))
			}
		})
	}
}

// rhel is the initial rule set of RHEL's iptables-services.
func rhel(program string) string {
	return strings.ReplaceAll(`@ -A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
@ -A INPUT -p icmp -j ACCEPT
@ -A INPUT -i lo -j ACCEPT
@ -A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT
@ -A INPUT -j REJECT --reject-with icmp-host-prohibited
@ -A FORWARD -j REJECT --reject-with icmp-host-prohibited
`, "@ ", program+" ")
}

// If rules accept the packets, or drop only some of them, there is no problem and no note.
func TestRulesThatAccept(t *testing.T) {
	for name, script := range map[string]string{
		"nothing":                                 "",
		"Docker":                                  docker("iptables-nft"),
		"Docker, legacy":                          docker("iptables-legacy"),
		"kube-proxy":                              kubeProxy("iptables-nft"),
		"kube-proxy, legacy":                      kubeProxy("iptables-legacy"),
		"kube-proxy's nftables":                   kubeProxyNftables,
		"firewalld that is open":                  firewalld("udp dport 8472 accept", "ip saddr 10.5.0.0/16 accept; ip6 saddr fd00:5::/48 accept"),
		"an accept of the pods":                   strict + "nft add rule inet site transit 'ip saddr 10.5.0.0/16 accept'; nft add rule inet site transit ip6 saddr fd00:5::/48 accept",
		"an accept by interface":                  strict + "nft add rule inet site transit 'iifname { \"cni0\", \"podlane.1\", \"podlane-v6.1\" } accept'",
		"an accept by set":                        strict + "nft add rule inet site transit 'ip saddr { 10.0.0.0/8, 192.168.0.0/16 } accept'; nft add rule inet site transit meta nfproto ipv6 accept",
		"an accept by concatenation":              strict + "nft add rule inet site transit 'iifname . oifname { \"cni0\" . \"podlane.1\", \"podlane.1\" . \"cni0\", \"cni0\" . \"podlane-v6.1\", \"podlane-v6.1\" . \"cni0\", \"cni0\" . \"cni0\" } accept'",
		"an accept of the tunnels":                closed + "nft add rule inet site in udp dport 8472 accept",
		"an accept of untracked packets":          closed + "nft add rule inet site in ct state new,untracked udp dport 8472 accept",
		"an accept of untracked packets by a map": closed + "nft add rule inet site in ct state vmap '{ established : accept, untracked : accept }'",
		"an accept of the underlay":               closed + "nft add rule inet site in iif eth0 accept",
		"an accept by ports":                      closed + "nft add rule inet site in udp dport '{ 53, 8472 }' accept",
		"an accept by port ranges":                closed + "nft add rule inet site in 'meta l4proto . th dport { tcp . 22, udp . 8000-9000 } accept'",
		"an accept by network, ranges":            closed + "nft add rule inet site in 'meta nfproto ipv6 accept'; nft add rule inet site in 'ip saddr . meta l4proto . th dport { 198.18.0.0/16 . udp . 8000-9000 } accept'",
		"a range of marks":                        transit + "nft add rule inet site transit meta mark 16-32 drop",
		"iptables, untracked":                     "iptables-nft -A INPUT -p udp --dport 8472 -m conntrack --ctstate NEW,UNTRACKED -j ACCEPT; iptables-nft -A INPUT -j REJECT; ip6tables-nft -P INPUT ACCEPT",
		"one pod":                                 transit + "nft add rule inet site transit ip saddr 10.5.34.7 drop",
		"one pod, by set":                         transit + "nft add rule inet site transit 'ip saddr { 10.5.34.7, 10.5.34.9 } drop'",
		"one port":                                transit + "nft add rule inet site transit tcp dport 25 drop; nft add rule inet site transit tcp dport '{ 135, 445 }' drop",
		"ports by a map":                          transit + "nft add rule inet site transit tcp dport vmap '{ 25 : drop, 135 : drop }'",
		"all but a set of marks":                  transit + "nft add rule inet site transit meta mark != '{ 0x0, 0x1 }' drop",
		"a check of the destination's type":       site + "nft add chain inet site pre '{ type filter hook prerouting priority -150; }'; nft add rule inet site pre fib daddr . iif type != '{ local, broadcast, multicast, unicast }' drop",
		"TCP without flags":                       "iptables-nft -A FORWARD -p tcp --tcp-flags ALL NONE -j DROP; iptables-legacy -A FORWARD -p tcp --tcp-flags SYN,FIN SYN,FIN -j DROP",
		"another node's pods":                     transit + "nft add rule inet site transit ip saddr 10.5.99.0/24 drop",
		"fragments":                               transit + "nft add rule inet site transit 'ip frag-off & 0x1fff != 0 drop'",
		"a drop of invalid packets":               transit + "nft add rule inet site transit ct state invalid drop",
		"a mark":                                  transit + "nft add rule inet site transit meta mark 7 drop",
		"a reverse-path check":                    site + "nft add chain inet site pre '{ type filter hook prerouting priority -300; }'; nft add rule inet site pre fib saddr . iif oif missing drop",
		"other protocols in input":                input + "nft add rule inet site in tcp dport 22 limit rate 3/minute drop; nft add rule inet site in meta l4proto icmp limit rate 3/minute drop",
		"a limit of the log":                      transit + "nft add rule inet site transit limit rate 3/minute log",
		"a chain that is not reached":             transit + "nft add chain inet site c; nft add rule inet site c drop; nft add rule inet site transit iifname docker0 jump c",
		"a chain that returns":                    transit + "nft add chain inet site c; nft add rule inet site c ip saddr 10.0.0.0/8 return; nft add rule inet site c ip6 saddr fd00::/8 return; nft add rule inet site c drop; nft add rule inet site transit jump c",
		"an accept before the drop":               transit + "nft add rule inet site transit accept; nft add rule inet site transit drop",
		"a dormant table":                         strict + "nft add table inet site '{ flags dormant; }'",
		"RHEL's forward":                          "iptables-nft -A FORWARD -j REJECT; ip6tables-nft -A FORWARD -j REJECT",
		"spoofed frames of a port":                "nft add table bridge site; nft add chain bridge site f '{ type filter hook prerouting priority 0; }'; nft add rule bridge site f iifname vnet0 ether saddr != 52:54:00:00:00:01 drop",
		"another interface's ingress":             "ip link add eth1 type bridge; nft add table netdev site; nft add chain netdev site in '{ type filter hook ingress device eth1 priority 0; policy drop; }'",
		"legacy RHEL's forward":                   "iptables-legacy -A FORWARD -j REJECT",
		"legacy, one pod":                         "iptables-legacy -A FORWARD -s 10.5.34.7/32 -j DROP; iptables-legacy -A INPUT -p udp -m udp --dport 53 -j DROP",
		"ufw that is open":                        ufw("-A ufw-user-input -p udp --dport 8472 -j ACCEPT"),
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, "node")
			n.sh(links + script)
			n.apply(attached)
			if got := strings.Join(append(n.Problems(), n.Advice()...), "\n"); got != "" {
				t.Errorf("got problems or notes, want none:\n%s", got)
			}
			n.quiet(attached)
		})
	}
}

// If podlaned cannot evaluate a rule, there is a note, never a problem.
func TestRulesThatCannotBeEvaluated(t *testing.T) {
	for name, c := range map[string]struct{ script, want string }{
		"a limit":                           {closed + "nft add rule inet site in udp dport 8472 limit rate 10000/second accept", "cannot tell whether chain inet site in drops VXLAN from 198.18.0.2"},
		"a drop over a limit":               {input + "nft add rule inet site in udp dport 8472 limit rate over 100/second drop", "cannot tell whether chain inet site in drops VXLAN from 198.18.0.2"},
		"a match of xtables":                {"iptables-nft -A FORWARD -m statistic --mode random --probability 0.5 -j DROP", "cannot tell whether chain ip filter FORWARD drops packets from pods to other nodes"},
		"an accept by mark":                 {strict + "nft add rule inet site transit meta mark 7 accept", "cannot tell whether chain inet site transit drops packets from pods"},
		"an accept of ports":                {strict + "nft add rule inet site transit tcp dport 80 accept", "cannot tell whether chain inet site transit drops packets from pods"},
		"an accept of a set of ports":       {strict + "nft add rule inet site transit tcp dport '{ 22, 80, 443 }' accept", "cannot tell whether chain inet site transit drops packets from pods"},
		"an accept of a map of ports":       {strict + "nft add rule inet site transit tcp dport vmap '{ 22 : accept, 80 : accept }'", "cannot tell whether chain inet site transit drops packets from pods"},
		"an accept of protocols and ports":  {strict + "nft add rule inet site transit meta l4proto . th dport '{ tcp . 22, udp . 53 }' accept", "cannot tell whether chain inet site transit drops packets from pods"},
		"an accept of a set of marks":       {strict + "nft add rule inet site transit meta mark and 0xff '{ 0x1, 0x2 }' accept", "cannot tell whether chain inet site transit drops packets from pods"},
		"an accept by a port of the bridge": {frames + "nft add rule bridge site f 'iifname \"veth*\"' accept", "cannot tell whether chain bridge site f drops pods' IPv4 packets on cni0"},
		"a set that packets add to":         {transit + "nft add set inet site s '{ type ipv4_addr; size 9; flags dynamic; }'; nft add rule inet site transit ip daddr 10.0.0.0/8 update @s '{ ip saddr limit rate over 9/second }' drop", "cannot tell whether chain inet site transit drops"},
		"a register loaded twice":           {transit + "nft add rule inet site transit ip saddr 10.0.0.0/8 jhash ip saddr mod 2 == 0 drop", "cannot tell whether chain inet site transit drops"},
		"a random choice":                   {transit + "nft add rule inet site transit numgen random mod 2 == 0 drop", "cannot tell whether chain inet site transit drops"},
		"legacy":                            {"iptables-legacy -A INPUT -p udp --dport 8472 -m limit --limit 10/second -j ACCEPT; iptables-legacy -P INPUT DROP", "cannot tell whether iptables-legacy's chain INPUT drops VXLAN from 198.18.0.2"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, "node")
			n.sh(links + c.script)
			n.apply(attached)
			if got := strings.Join(n.Advice(), "\n"); !strings.Contains(got, c.want) || len(n.Problems()) > 0 {
				t.Errorf("got notes:\n%s\nand problems:\n%s\nwant the note %q and no problem", got, strings.Join(n.Problems(), "\n"), c.want)
			}
			n.quiet(attached)
		})
	}
}

// Programs that make their rules from their own configuration get their own commands.
func TestProblemsOfFirewalldAndUfw(t *testing.T) {
	for name, c := range map[string]struct{ script, want string }{
		"firewalld": {firewalld("tcp dport 22 accept", ""), "chain inet firewalld filter_INPUT drops VXLAN from 198.18.0.2, VXLAN from 2001:db8::2 (rule handle "},
		"ufw":       {ufw(""), "chain ip filter INPUT drops VXLAN from 198.18.0.2 (its policy); to let them through, run: ufw allow 8472/udp && ufw"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, "node")
			n.sh(links + c.script)
			n.apply(attached)
			if got := strings.Join(n.Problems(), "\n"); !strings.Contains(got, c.want) {
				t.Errorf("problems:\n%s\nnotes:\n%s\nwant %q", got, strings.Join(n.Advice(), "\n"), c.want)
			}
		})
	}
}
