package firewall

import "github.com/podlane/podlane/nft"

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
	fromPods := nft.Chain{Name: httpFromPods, Rules: []nft.Rule{newDrop("http_from_a_pod", fromPod())}}
	toPeers := nft.Chain{Name: httpToPeers}
	for _, f := range r.families() {
		for _, pods := range r.pods(f) {
			fromPods.Rules = append(fromPods.Rules, newDrop("http_from_a_pod", ofFamily(f), inside(source, pods)))
		}
		toPeers.Rules = append(toPeers.Rules, newRule(ofFamily(f), addressIn(destination, f, peers(Rules{}, f)), goTo(fromPods.Name)))
	}
	if r.Peers == nil {
		return nft.Table{Chains: []nft.Chain{fromPods}}
	}
	return nft.Table{Chains: []nft.Chain{toPeers, fromPods}}
}

// The names of the chains for packets to the daemon's HTTP: on peers, and from pods.
const (
	httpToPeers  = "http_to_peers"
	httpFromPods = "http_from_pods"
)
