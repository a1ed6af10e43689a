package firewall

import (
	"github.com/google/nftables"

	"github.com/podlane/podlane/nft"
	"github.com/podlane/podlane/subnet"
)

// httpGuard keeps pods from the daemon's HTTP: from this node's at any of its addresses, loopback's included (a node with
// route_localnet takes packets to those from anywhere), and from that of peers at their public addresses, where a
// masqueraded packet could no longer be told from the node's own. The chain in input judges after destination NAT, so
// that no service leads around it. What the node sends to itself from an address in the pod network is no pod's.
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
