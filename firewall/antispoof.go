package firewall

import (
	"net/netip"

	"github.com/google/nftables/expr"

	"github.com/podlane/podlane/nft"
	"github.com/podlane/podlane/subnet"
)

// checkedFromPod matches packets from pods whose source antispoof checks. It omits these sources, which a pod needs even without
// a route to them:
//
//   - IPv6's unspecified address: duplicate address detection and MLD. The kernel's lookup accepts it since Linux 5.13.
//   - IPv6's link-local addresses: neighbour discovery. No node forwards them.
//
// IPv4's unspecified address (DHCP, IGMP) needs no exception. The lookup has always accepted it if the destination is a broadcast
// or multicast address of the link. A pod must not send it to other destinations.
func checkedFromPod(f subnet.Family) part {
	if f == subnet.IPv4 {
		return join(anyOf(f), fromPod())
	}
	return join(ofFamily(f),
		address(source, expr.CmpOpNeq, netip.MustParsePrefix("::/128")),
		address(source, expr.CmpOpNeq, netip.MustParsePrefix("fe80::/10")), fromPod())
}

// antispoof drops packets that fail a strict reverse-path check. The route to their source must lead through the interface on
// which they arrived. It checks packets
//
//	from a pod      with any source: so a pod can use only addresses of its node's pod subnets
//	from anywhere   with a source in this node's pod subnets
//	                from a pod's address to a pod: so no host of the underlay, not even a peer, can send as a pod without VXLAN
//
// Early rules accept most valid packets before this check (early.go). From the bridge, a pod's address in this node's pod subnet
// needs no route lookup. Out of the tunnel, a peer's lease counts instead of a route.
//
// IPv4's rp_filter is often off or loose, and IPv6 has none.
//
// These packets must not be dropped, and are not:
//
//   - from the node to itself, and its own looped multicast: the kernel answers them through loopback
//   - from a pod to itself through a Service: the pod sends from its own address
//   - bridged packets that br_netfilter shows: their interface is the bridge
//   - from another node's pods to this node's underlay address: they come directly on the underlay. The answer goes through
//     the overlay. If their node does not masquerade, that is everything they send. Otherwise it is their answers to packets
//     that this node sent from that address.
//
// The last exception has a price: a host of the underlay can forge such packets. Then a service of the node on the underlay treats
// the host as a pod of another node. So do pods behind a port of the node, because the destination is rewritten only later. The
// host gets no answer, because that goes to the pod through the overlay. It can send single datagrams, but open no connection. A
// service that trusts pods by their address should listen on the node's address in its pod subnet.
//
// With direct routing, packets of other nodes' pods come directly on the underlay. Each node decides for itself whether both
// share a link. The two may decide at different times, or differently. So only this node's own pod subnets are checked then.
//
// Without direct routing, packets from another node's pod to pods come out of the tunnel. They need the lease of that node, or a
// route to the pod through the overlay. They are dropped before the lease is known, and after it is gone. Nothing could answer
// the pod then.
//
// The lookup is the most expensive part. So a packet has at most one for this check: every checked packet goes to the chain with
// the lookup.
func antispoof(r Rules) nft.Table {
	checked := nft.Chain{Name: "pod_source", Rules: []nft.Rule{newDrop("pod_source_forged", noReversePath())}}
	anywhere, addresses := nft.Chain{Name: anyInterface}, nft.Chain{Name: podAddresses}
	var toPods []nft.Chain
	for _, f := range subnet.Families {
		anywhere.Rules = append(anywhere.Rules, newRule(checkedFromPod(f), goTo(checked.Name)))
		if own := r.Subnet.Half(f); own.IsValid() {
			addresses.Rules = append(addresses.Rules, newRule(ofFamily(f), address(source, expr.CmpOpEq, own), goTo(checked.Name)))
		}
		if !r.Network.VXLAN.DirectRouting {
			rules, more := betweenPods(r.pods(f), f, checked.Name)
			addresses.Rules, toPods = append(addresses.Rules, rules...), append(toPods, more...)
		}
	}
	anywhere.Rules = append(anywhere.Rules, newRule(goTo(notFromPods)))
	return nft.Table{Chains: append([]nft.Chain{anywhere, addresses, checked}, toPods...)}
}

// podAddresses is the name of the chain that checks packets with a pod's address as source, from any interface.
const podAddresses = "pod_addresses"

// betweenPods returns the rules that send packets between addresses of the intervals to a chain. If there are several intervals,
// another chain checks the destination: a rule for each pair would be too many.
func betweenPods(pods []subnet.Interval, f subnet.Family, chain string) (rules []nft.Rule, more []nft.Chain) {
	if len(pods) == 1 {
		return []nft.Rule{newRule(ofFamily(f), inside(source, pods[0]), inside(destination, pods[0]), goTo(chain))}, nil
	}
	to := nft.Chain{Name: [...]string{subnet.IPv4: "to_pods4", subnet.IPv6: "to_pods6"}[f]}
	for _, i := range pods {
		rules = append(rules, newRule(ofFamily(f), inside(source, i), goTo(to.Name)))
		to.Rules = append(to.Rules, newRule(ofFamily(f), inside(destination, i), goTo(chain)))
	}
	if len(pods) > 0 {
		more = []nft.Chain{to}
	}
	return rules, more
}
