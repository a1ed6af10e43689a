package firewall

import (
	"github.com/google/nftables"

	"github.com/podlane/podlane/nft"
	"github.com/podlane/podlane/subnet"
)

// prerouting returns the chains before routing. One base chain sends each packet to a chain for its interface. The first three
// accept most packets early, and send the others on:
//
//	prerouting --+-- from_pods ---------> any_interface --> not_from_pods
//	             +-- from_tunnel4, 6 ---------------------> not_from_pods
//	             +-- from_underlay -----------------------> not_from_pods
//	             +----------------------> any_interface --> not_from_pods
//
// The general chains drop forged sources (antispoof), and VXLAN that fails a reverse-path check (vxlanGuard). They exempt VXLAN
// to this node from connection tracking (untracked).
//
// The base chain is before other programs' chains of priority raw. The kernel reassembles fragments before it.
func prerouting(r Rules) (t nft.Table) {
	base := filterChain("prerouting", nftables.ChainHookPrerouting, nftables.ChainPriorityRef(*nftables.ChainPriorityRaw-10))
	t.Chains = []nft.Chain{base}
	for _, e := range earlyChains(r) {
		base.Rules = append(base.Rules, newRule(fromInterface(e.from), goTo(e.Name)))
		t.Chains = append(t.Chains, e.Chain)
	}
	base.Rules = append(base.Rules, newRule(goTo(anyInterface)))
	t.Chains[0] = base
	for _, f := range subnet.Families {
		if _, ok := fromPeerSubnet(r, f); ok {
			t.Sets = append(t.Sets, peerSubnets(r, f))
		}
	}
	return t
}

// The general chains before routing, for packets from any interface, and from interfaces that do not lead to pods.
const (
	anyInterface = "any_interface"
	notFromPods  = "not_from_pods"
)

// earlyChain is a chain for the packets of one interface.
type earlyChain struct {
	from Interface
	nft.Chain
}

// earlyChains returns the chains whose early rules are possible. The last rule of each leads to the general chain.
func earlyChains(r Rules) (all []earlyChain) {
	pods := earlyChain{r.Bridge.Interface, nft.Chain{Name: "from_pods"}}
	tunnels := [...]earlyChain{
		subnet.IPv4: {r.Overlay[subnet.IPv4], nft.Chain{Name: "from_tunnel4"}},
		subnet.IPv6: {r.Overlay[subnet.IPv6], nft.Chain{Name: "from_tunnel6"}},
	}
	underlay := earlyChain{r.Underlay, nft.Chain{Name: "from_underlay"}}
	for _, f := range subnet.Families {
		if match, ok := fromBridge(r, f); ok {
			pods.Rules = append(pods.Rules, newRule(match, accept()))
		}
		if match, ok := fromPeerSubnet(r, f); ok {
			tunnels[f].Rules = append(tunnels[f].Rules, newRule(match, accept()))
		}
		if match, ok := fromPeer(r, f); ok {
			underlay.Rules = append(underlay.Rules, newRule(overlay(r), match, notrack(), accept()))
		}
	}
	for _, e := range append([]earlyChain{pods}, append(tunnels[:], underlay)...) {
		if len(e.Rules) == 0 {
			continue
		}
		next := notFromPods
		if e.Name == pods.Name {
			next = anyInterface
		}
		e.Rules = append(e.Rules, newRule(goTo(next)))
		all = append(all, e)
	}
	return all
}
