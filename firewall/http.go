package firewall

import (
	"github.com/google/nftables"

	"github.com/podlane/podlane/nft"
	"github.com/podlane/podlane/subnet"
)

// httpGuard drops packets from pods to the daemon's HTTP:
//
//   - on this node, at any of its addresses. With route_localnet even loopback addresses are reachable from anywhere. The chain
//     is in input, after destination NAT, so no Service bypasses it.
//   - on peers, at their public addresses. A peer could not distinguish a masqueraded packet from the node's own.
//
// The node's packets to itself are not dropped, although their source may be in the pod network.
func httpGuard(r Rules) nft.Table {
	if r.HTTPPort == 0 {
		return nft.Table{}
	}
	port := portTo(tcp, r.HTTPPort)
	input := filterChain("http_input", nftables.ChainHookInput, beforeFilters, newRule(notLoopback(), port, goTo("http_from_pods")))
	fromPods := nft.Chain{Name: "http_from_pods", Rules: []nft.Rule{newDrop("http_from_a_pod", fromPod())}}
	for _, f := range subnet.Families {
		for _, pods := range r.pods(f) {
			fromPods.Rules = append(fromPods.Rules, newDrop("http_from_a_pod", ofFamily(f), inside(source, pods)))
		}
	}
	if r.Peers == nil {
		return nft.Table{Chains: []nft.Chain{input, fromPods}}
	}
	forward := filterChain("http_forward", nftables.ChainHookForward, beforeFilters)
	for _, f := range subnet.Families {
		forward.Rules = append(forward.Rules, newRule(port, ofFamily(f), addressIn(destination, f, peers(Rules{}, f)), goTo(fromPods.Name)))
	}
	return nft.Table{Chains: []nft.Chain{input, forward, fromPods}}
}
