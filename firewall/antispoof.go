package firewall

import (
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/podlane/podlane/nft"
	"github.com/podlane/podlane/subnet"
)

// bound matches packets from pods whose source must have a route through the pod's link. A pod needs these sources whatever
// routes exist:
//
//   - IPv6's unspecified address: duplicate address detection and MLD. The kernel's lookup accepts it since Linux 5.13.
//   - IPv6's link-local addresses: neighbour discovery. No node forwards them.
//
// IPv4's unspecified address (DHCP, IGMP) needs no exception. The lookup has always accepted it to the broadcast and multicast
// addresses of a link. It may go to no others.
func bound(f subnet.Family) part {
	if f == subnet.IPv4 {
		return join(anyOf(f), fromPod())
	}
	return join(ofFamily(f),
		address(source, expr.CmpOpNeq, netip.MustParsePrefix("::/128")),
		address(source, expr.CmpOpNeq, netip.MustParsePrefix("fe80::/10")), fromPod())
}

// antispoof drops packets whose source the kernel would not answer through the interface that they came from. It checks
//
//	from a pod      every source: this binds a pod to its node's pod subnets
//	from anywhere   a source in this node's pod subnets
//	                any pod's source, if the destination is a pod: hosts of the underlay cannot send as a pod without VXLAN
//
// IPv4's rp_filter is often off or loose, and IPv6 has none.
//
// These packets must not be dropped, and are not:
//
//   - from the node to itself, and its own looped multicast: the kernel answers them through loopback
//   - from a pod to itself through a Service: its source is its own. What comes back is from the node.
//   - what br_netfilter shows of the bridge's own traffic: its interface is the bridge
//   - from another node's pods to this node's underlay address: they come directly on the underlay. The answer goes through
//     the overlay. If their node does not masquerade, that is everything they send. Otherwise it is their answers to packets
//     that this node sent from that address.
//
// The last one has a price: a host of the underlay can forge it. Then a service of the node on the underlay takes it for a pod
// of another node. So do pods behind a port of the node, because the destination is rewritten only later. The host gets no
// answer, because that goes to the pod through the overlay. It can send single datagrams, but open no connection. A service
// that trusts pods by their address should listen on the node's address in its pod subnet.
//
// With direct routing, packets of other nodes' pods come directly on the underlay. Each end decides for itself whether both
// share a link: at its own time, and not always alike. So only this node's own pod subnets are checked then.
//
// Without it, packets from another node's pod to pods need a route to it through the overlay. They are dropped before its
// lease is known, after that is gone, and while the route is missing by mistake. The pod could not be answered then either.
//
// The lookup is the most expensive part, so each packet has at most one. All that is checked goes to the chain of the lookup
// and does not return.
func antispoof(r Rules) nft.Table {
	checked := nft.Chain{Name: "pod_source", Rules: []nft.Rule{newDrop("pod_source_forged", noReversePath())}}
	c := filterChain("antispoof", nftables.ChainHookPrerouting, beforeRaw)
	var toPods []nft.Chain
	for _, f := range subnet.Families {
		c.Rules = append(c.Rules, newRule(bound(f), goTo(checked.Name)))
		if own := r.Subnet.Half(f); own.IsValid() {
			c.Rules = append(c.Rules, newRule(ofFamily(f), address(source, expr.CmpOpEq, own), goTo(checked.Name)))
		}
		if !r.Network.VXLAN.DirectRouting {
			rules, more := betweenPods(r.pods(f), f, checked.Name)
			c.Rules, toPods = append(c.Rules, rules...), append(toPods, more...)
		}
	}
	return nft.Table{Chains: append([]nft.Chain{c, checked}, toPods...)}
}

// betweenPods returns the rules that send packets between addresses of the intervals to the chain verdict. A rule for each
// pair of intervals would be too many: if there are several, another chain checks the destination.
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
