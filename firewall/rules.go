package firewall

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/podlane/podlane/subnet"
)

// Rules is what the node's firewall is built from. It is a pure value: equal Rules make an equal table.
type Rules struct {
	Network    subnet.Network // its prefixes are the pod network; its port that of the tunnels
	Subnet     subnet.Pair    // this node's pod subnets
	Masquerade bool           // what leaves the pod network bears the node's address
}

func (r Rules) check() error {
	if len(r.Network.Prefixes()) == 0 || r.Subnet.IsZero() {
		return errors.New("firewall: the pod network or this node's pod subnet is missing")
	}
	for _, f := range subnet.Families {
		if half := r.Subnet.Half(f); half.IsValid() && !subnet.Contains(r.Network.Range(f).Prefix, half) {
			return fmt.Errorf("firewall: pod subnet %s is not in the pod network", half)
		}
	}
	return nil
}

// build makes the table. Each duty of the firewall is a function here that returns its chain and the sets it looks into.
func build(r Rules) table {
	return table{chains: []chain{postrouting(r)}}
}

var multicast = map[subnet.Family]netip.Prefix{
	subnet.IPv4: netip.MustParsePrefix("224.0.0.0/4"), // RFC 5771
	subnet.IPv6: netip.MustParsePrefix("ff00::/8"),    // RFC 4291 section 2.7
}

// postrouting masquerades what this node's pods send out of the pod network. What stays in the pod network keeps its
// source, whichever node it goes to; so does what the node sends to itself from its address in the pod subnet, and what
// has more than one receiver. Ports are fully random, for two pods that send from the same port at the same moment
// could otherwise be given the same new one, and the second would lose its packet.
func postrouting(r Rules) chain {
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
			address(destination, expr.CmpOpNeq, r.Network.Range(f).Prefix),
			address(destination, expr.CmpOpNeq, multicast[f]),
			notTo(local),
			notTo(broadcast),
			masquerade(),
		))
	}
	return c
}
