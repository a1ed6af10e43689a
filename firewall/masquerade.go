package firewall

import (
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/podlane/podlane/subnet"
)

var multicast = map[subnet.Family]netip.Prefix{
	subnet.IPv4: netip.MustParsePrefix("224.0.0.0/4"), // RFC 5771
	subnet.IPv6: netip.MustParsePrefix("ff00::/8"),    // RFC 4291 section 2.7
}

// masqueraded gives the node's address to what this node's pods send to any address that no pod has. What goes to a pod
// keeps its source, whichever node it goes to; so does what the node sends to itself from its address in the pod subnet,
// and what has more than one receiver. Ports are fully random, for two pods that send from the same port at the same
// moment could otherwise be given the same new one, and the second would lose its packet.
func masqueraded(r Rules) table {
	c := chain{name: "postrouting", base: base{
		kind: nftables.ChainTypeNAT, hook: *nftables.ChainHookPostrouting, priority: *nftables.ChainPriorityNATSource, policy: nftables.ChainPolicyAccept,
	}}
	for _, f := range subnet.Families {
		from := r.Subnet.Half(f)
		if !r.Masquerade || !from.IsValid() {
			continue
		}
		c.rules = append(c.rules, newRule(
			ofFamily(f),
			address(source, expr.CmpOpEq, from),
			outside(destination, r.pods(f)),
			address(destination, expr.CmpOpNeq, multicast[f]),
			to(expr.CmpOpNeq, local),
			to(expr.CmpOpNeq, broadcast),
			masquerade(),
		))
	}
	c.rules = append(c.rules, bridgedAnswers(r)...)
	return table{chains: []chain{c}}
}
