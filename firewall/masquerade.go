package firewall

import (
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/podlane/podlane/nft"
	"github.com/podlane/podlane/subnet"
)

var multicast = map[subnet.Family]netip.Prefix{
	subnet.IPv4: netip.MustParsePrefix("224.0.0.0/4"), // RFC 5771
	subnet.IPv6: netip.MustParsePrefix("ff00::/8"),    // RFC 4291 section 2.7
}

// masqueraded gives the node's address to packets from this node's pods to addresses outside the pods. These packets keep
// their source:
//
//   - packets to a pod of any node
//   - the node's packets to itself from its address in the pod subnet
//   - packets to more than one receiver
//
// The new source port is fully random. Otherwise two pods that send from the same port at the same time could get the same new
// one. One of them would lose its packet.
func masqueraded(r Rules) nft.Table {
	c := nft.Chain{Name: "postrouting", Base: nft.Base{
		Type: nftables.ChainTypeNAT, Hook: *nftables.ChainHookPostrouting, Priority: *nftables.ChainPriorityNATSource, Policy: nftables.ChainPolicyAccept,
	}}
	for _, f := range subnet.Families {
		from := r.Subnet.Half(f)
		if !r.Masquerade || !from.IsValid() {
			continue
		}
		c.Rules = append(c.Rules, newRule(
			ofFamily(f),
			address(source, expr.CmpOpEq, from),
			outside(destination, r.pods(f)),
			address(destination, expr.CmpOpNeq, multicast[f]),
			destinationType(expr.CmpOpNeq, local),
			destinationType(expr.CmpOpNeq, broadcast),
			masquerade(),
		))
	}
	c.Rules = append(c.Rules, bridgedAnswers(r)...)
	return nft.Table{Chains: []nft.Chain{c}}
}
