package firewall

import (
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/podlane/podlane/nft"
)

// untracked keeps our VXLAN, in and out, from being tracked as connections. Its source port is a hash of the flow inside
// and its destination port is always ours, so the two directions never are one connection: each flow would be an entry
// that waits for an answer, in a table that can become full, and packets would be lost then. What the node only passes
// on, for a machine behind it, is tracked as ever, for it may need NAT.
//
// What others' rules make of untracked packets: "ct state invalid" does not match them; "ct state established,related"
// does not either, but then it matched no VXLAN before, for the reason above. An accept of the UDP port works as
// ever unless it asks for "ct state new"; where it does, as in a hand-made chain with policy drop, it has to ask for
// "untracked" too. NAT rules leave them alone, as they should: a peer knows this node by its address.
//
// The match "ct state != untracked" does more than pass over what somebody has exempted before: with it the kernel
// reassembles fragments before the chains of prerouting see them. Without it IPv6 fragments would come to the guard in
// input as they are, and a first one that ends before the VNI would be VXLAN to nobody until it is too late.
func untracked(r Rules) nft.Table {
	in := filterChain("untracked_in", nftables.ChainHookPrerouting, nftables.ChainPriorityRaw,
		newRule(notYetUntracked(), overlay(r), to(expr.CmpOpEq, local), notrack()))
	out := filterChain("untracked_out", nftables.ChainHookOutput, nftables.ChainPriorityRaw,
		newRule(notYetUntracked(), overlay(r), notrack()))
	return nft.Table{Chains: []nft.Chain{in, out}}
}
