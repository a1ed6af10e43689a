package firewall

import (
	"github.com/google/nftables"

	"github.com/podlane/podlane/nft"
	"github.com/podlane/podlane/subnet"
)

// prerouting returns the chains before routing, except the general ones. One base chain sends each packet to the early chain of
// its interface, if there is one. An early chain accepts most packets, and sends the others on to the general chains:
//
//	prerouting --+-- from_pods ---------> any_interface --> not_from_pods
//	             +-- from_tunnel4, 6 ---------------------> not_from_pods
//	             +-- from_underlay -----------------------> not_from_pods
//	             +----------------------> any_interface --> not_from_pods
//
// The general chains drop forged sources (antispoof), and VXLAN that fails a reverse-path check (vxlanGuard). They and
// from_underlay exempt VXLAN to this node from connection tracking (untracked).
//
// The base chain runs before other programs' chains of priority raw. The kernel reassembles fragments before it.
func prerouting(r Rules) (t nft.Table) {
	base := filterChain("prerouting", nftables.ChainHookPrerouting, nftables.ChainPriorityRef(*nftables.ChainPriorityRaw-10))
	t.Chains = []nft.Chain{base}
	for _, e := range earlyChains(r) {
		if e.used() {
			base.Rules = append(base.Rules, newRule(fromInterface(e.from), goTo(e.Name)))
		}
		t.Chains = append(t.Chains, e.Chain)
	}
	base.Rules = append(base.Rules, newRule(goTo(anyInterface)))
	t.Chains[0] = base
	for _, f := range r.families() {
		t.Sets = append(t.Sets, peerSubnets(r, f))
	}
	return t
}

// The names of the general chains: for packets from any interface, and for those from interfaces that do not lead to pods.
const (
	anyInterface = "any_interface"
	notFromPods  = "not_from_pods"
)

// earlyChain is a chain with early rules for the packets from one interface.
type earlyChain struct {
	from Interface
	nft.Chain
}

// used reports whether packets are sent to the chain: its interface exists, and it has an early rule.
func (e earlyChain) used() bool { return e.from.Index != 0 && len(e.Rules) > 1 }

// earlyChains returns the early chains. The last rule of each leads to a general chain. A chain exists even while it is not used.
// So if an interface is created or deleted, only rules change, and the table is not replaced.
func earlyChains(r Rules) []earlyChain {
	pods := earlyChain{r.Bridge.Interface, nft.Chain{Name: "from_pods"}}
	underlay := earlyChain{r.Underlay, nft.Chain{Name: "from_underlay"}}
	var tunnels []earlyChain
	for _, f := range r.families() {
		if match, ok := fromBridge(r, f); ok {
			pods.Rules = append(pods.Rules, newRule(match, accept()))
		}
		name := [...]string{subnet.IPv4: "from_tunnel4", subnet.IPv6: "from_tunnel6"}[f]
		early := newRule(fromPeerSubnet(r, f), accept())
		tunnels = append(tunnels, earlyChain{r.Overlay[f], nft.Chain{Name: name, Rules: []nft.Rule{early}}})
		if match, ok := fromPeersWay(r, f); ok {
			underlay.Rules = append(underlay.Rules, newRule(overlay(r), match, notrack(), accept()))
		}
	}
	all := append(append([]earlyChain{pods}, tunnels...), underlay)
	for i := range all {
		next := notFromPods
		if i == 0 {
			next = anyInterface
		}
		all[i].Rules = append(all[i].Rules, newRule(goTo(next)))
	}
	return all
}
