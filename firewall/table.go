package firewall

import (
	"github.com/google/nftables"

	"github.com/podlane/podlane/nft"
)

// Name is the name of podlane's nftables table, of family inet.
const Name = "podlane"

var ownID = nft.ID{Family: nftables.TableFamilyINet, Name: Name}

// buildTable returns podlane's table for normalized Rules. Each part of the table has a file of its own.
func buildTable(r Rules) nft.Table {
	t := nft.Table{ID: ownID, Sets: []nft.Set{podInterfaces(r)}}
	parts := []nft.Table{prerouting(r), antispoof(r), vxlanGuard(r), {Chains: filters(r)}, httpGuard(r), masqueraded(r)}
	for _, part := range parts {
		t.Sets, t.Chains = append(t.Sets, part.Sets...), append(t.Chains, part.Chains...)
	}
	return t
}

// beforeFilters is the priority of the chains input and forward. They run before other programs' filters. So these do not count
// or log what is dropped here. The kernel reassembles fragments before them.
var beforeFilters = nftables.ChainPriorityRef(*nftables.ChainPriorityFilter - 10)

// filters returns the base chains of type filter in input, forward and output. There is only one for each hook, because each
// base chain costs every packet some time. VXLAN matches the first rule.
func filters(r Rules) []nft.Chain {
	input := filterChain("input", nftables.ChainHookInput, beforeFilters, newRule(portTo(udp, r.Network.VXLAN.Port), goTo(vxlanToPort)))
	forward := filterChain("forward", nftables.ChainHookForward, beforeFilters, newRule(overlay(r), goTo(vxlanFromPods)))
	if r.HTTPPort != 0 {
		http := portTo(tcp, r.HTTPPort)
		input.Rules = append(input.Rules, newRule(notLoopback(), http, goTo(httpFromPods)))
		if r.Peers != nil {
			forward.Rules = append(forward.Rules, newRule(http, goTo(httpToPeers)))
		}
	}
	return []nft.Chain{input, forward, untracked(r)}
}

// filterChain returns a base chain that accepts what its rules do not drop.
func filterChain(name string, hook *nftables.ChainHook, priority *nftables.ChainPriority, rules ...nft.Rule) nft.Chain {
	return nft.Chain{Name: name, Rules: rules, Base: nft.Base{
		Type: nftables.ChainTypeFilter, Hook: *hook, Priority: *priority, Policy: nftables.ChainPolicyAccept,
	}}
}

// newDrop returns a rule that counts and drops packets. The reason is its comment, and the key of its count in Dropped.
func newDrop(reason string, parts ...part) nft.Rule {
	r := newRule(append(parts, counter(), drop())...)
	r.Comment = reason
	return r
}

// countDrops returns how many packets podlane's table has dropped, by reason.
func countDrops(own nft.Installed) map[string]uint64 {
	sums := map[string]uint64{}
	for _, r := range own.Rules {
		reason := r.Comment()
		if c, ok := r.Counter(); ok && reason != "" {
			sums[reason] += c.Packets
		}
	}
	return sums
}
