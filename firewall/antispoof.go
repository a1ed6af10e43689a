package firewall

import (
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/podlane/podlane/nft"
	"github.com/podlane/podlane/subnet"
)

// bound matches what comes from a pod with a source that it may use only where its link leads to it. The others it needs
// before it has an address, and beside it, whatever routes there are: IPv6's unspecified address (duplicate address
// detection and MLD; the kernel's own lookup lets these pass from Linux 5.13 on) and its link-local ones (neighbour
// discovery), which no node forwards. IPv4's unspecified address (DHCP, IGMP) needs no word: the lookup has always let it
// pass to a link's broadcast and multicast addresses, and it may go nowhere else.
func bound(f subnet.Family) part {
	if f == subnet.IPv4 {
		return join(anyOf(f), fromPod())
	}
	return join(ofFamily(f),
		address(source, expr.CmpOpNeq, netip.MustParsePrefix("::/128")),
		address(source, expr.CmpOpNeq, netip.MustParsePrefix("fe80::/10")), fromPod())
}

// antispoof drops what bears a source that the kernel would not answer by the interface it came from:
//
//	from a pod      whatever it bears: this binds it to its node's pod subnets
//	from anywhere   what bears an address of this node's own pod subnets; and what goes to the pod network, where it
//	                bears any pod's: so neither hosts of the underlay nor peers speak to pods as a pod without VXLAN
//
// IPv4's rp_filter is often off or loose, and IPv6 has none.
//
// What has to pass, and does: packets of the node to itself, and its own multicast that is looped back, for the kernel
// answers those by loopback; a pod that reaches itself through a service, for it sends from its own address, and what
// comes back to it is made by the node; what br_netfilter shows of the bridge's own traffic, for it bears the
// bridge as its interface; and what pods of other nodes send to this node's address on the underlay, which comes plainly
// on the underlay though the answer goes by the overlay: all they send where their node does not masquerade, and else
// their answers to what this node sent from that address.
//
// This last is the price: a host of the underlay that forges it is heard as a pod of another node by what the node itself
// serves on the underlay, and by pods behind a port that the node passes on to them, for its destination is rewritten
// only later. It never sees an answer, which goes to the pod by the overlay; so it can send single datagrams, but hold
// no conversation. What trusts pods by their address alone should listen on the node's address in its pod subnet.
//
// With direct routing, peers' pods come plainly on the underlay. Both ends then judge for themselves whether they share
// a link, and not at the same moment, nor always alike; so there only this node's own pod subnets are looked at. Without
// it, packets of a pod of another node to pods are dropped for as long as the kernel has no route to it by the overlay:
// before its lease is known and after it has gone, and while the route is missing by mistake. It could not be answered
// then either.
//
// The way back is looked up in a chain of its own, to which all that is judged goes and from which nothing returns: the
// lookup is what costs most here, and whatever a packet is judged for, it is one.
func antispoof(r Rules) nft.Table {
	judged := nft.Chain{Name: "pod_source", Rules: []nft.Rule{newDrop("pod_source_forged", noWayBack())}}
	c := filterChain("antispoof", nftables.ChainHookPrerouting, beforeRaw)
	var toPods []nft.Chain
	for _, f := range subnet.Families {
		c.Rules = append(c.Rules, newRule(bound(f), goTo(judged.Name)))
		if own := r.Subnet.Half(f); own.IsValid() {
			c.Rules = append(c.Rules, newRule(ofFamily(f), address(source, expr.CmpOpEq, own), goTo(judged.Name)))
		}
		if !r.Network.VXLAN.DirectRouting {
			rules, more := betweenPods(r.pods(f), f, judged.Name)
			c.Rules, toPods = append(c.Rules, rules...), append(toPods, more...)
		}
	}
	return nft.Table{Chains: append([]nft.Chain{c, judged}, toPods...)}
}

// betweenPods returns the rules that send packets between addresses of the intervals to the chain verdict. If there is more
// than one interval, the destination is checked in a chain of its own, because one rule for each pair would be too many.
func betweenPods(pods []subnet.Interval, f subnet.Family, verdict string) (rules []nft.Rule, more []nft.Chain) {
	if len(pods) == 1 {
		return []nft.Rule{newRule(ofFamily(f), inside(source, pods[0]), inside(destination, pods[0]), goTo(verdict))}, nil
	}
	to := nft.Chain{Name: [...]string{subnet.IPv4: "to_pods4", subnet.IPv6: "to_pods6"}[f]}
	for _, i := range pods {
		rules = append(rules, newRule(ofFamily(f), inside(source, i), goTo(to.Name)))
		to.Rules = append(to.Rules, newRule(ofFamily(f), inside(destination, i), goTo(verdict)))
	}
	if len(pods) > 0 {
		more = []nft.Chain{to}
	}
	return rules, more
}
