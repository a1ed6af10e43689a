package firewall

import (
	"github.com/google/nftables"

	"github.com/podlane/podlane/nft"
	"github.com/podlane/podlane/subnet"
)

// prerouting returns the chains before routing. One base chain sends each packet to a chain for its interface. The chains for
// single interfaces accept most packets early, and send the others on:
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
		if e.used() {
			base.Rules = append(base.Rules, newRule(fromInterface(e.from), goTo(e.Name)))
		}
		t.Chains = append(t.Chains, e.Chain)
	}
	base.Rules = append(base.Rules, newRule(goTo(anyInterface)))
	t.Chains[0] = base
	for _, f := range subnet.Families {
		if r.Network.Range(f).On() {
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

// used reports whether packets are sent to the chain: its interface exists, and it has an early rule.
func (e earlyChain) used() bool { return e.from.Index != 0 && len(e.Rules) > 1 }

// earlyChains returns the chains for single interfaces. The last rule of each leads to the general chain. A chain exists even while it
// is not used. So an interface that is created or deleted changes only rules, and the table is not replaced.
func earlyChains(r Rules) []earlyChain {
	pods := earlyChain{r.Bridge.Interface, nft.Chain{Name: "from_pods"}}
	underlay := earlyChain{r.Underlay, nft.Chain{Name: "from_underlay"}}
	var tunnels []earlyChain
	for _, f := range subnet.Families {
		if match, ok := fromBridge(r, f); ok {
			pods.Rules = append(pods.Rules, newRule(match, accept()))
		}
		if r.Network.Range(f).On() {
			name := [...]string{subnet.IPv4: "from_tunnel4", subnet.IPv6: "from_tunnel6"}[f]
			early := newRule(fromPeerSubnet(r, f), accept())
			tunnels = append(tunnels, earlyChain{r.Overlay[f], nft.Chain{Name: name, Rules: []nft.Rule{early}}})
		}
		if match, ok := fromPeer(r, f); ok {
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
