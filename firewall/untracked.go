package firewall

import (
	"github.com/google/nftables"

	"github.com/podlane/podlane/nft"
)

// untracked exempts podlane's VXLAN, in and out, from connection tracking. Its source port is a hash of the inner flow, and
// its destination port is always the same. So the two directions never form one connection. Each flow would be an entry that
// waits for an answer. A full table loses packets. VXLAN that the node only forwards is still tracked: it may need NAT.
//
// Other programs' rules treat untracked packets like this:
//
//   - "ct state invalid" does not match them.
//   - "ct state established,related" does not match them. It never matched VXLAN, for the reason above.
//   - An accept of the UDP port matches them. If it requires "ct state new", it has to list "untracked" too.
//   - NAT rules do not apply. That is correct: a peer knows this node by its address.
//
// The function returns the chain for what the node sends. Rules in prerouting exempt what it receives: in from_underlay and
// vxlan_arrives.
//
// The rule in vxlan_arrives also matches "ct state != untracked". That has an effect even if no packet reaches the rule. The
// kernel then tracks connections in this namespace, and reassembles fragments before podlane's chains. Without it, IPv6 fragments
// would reach the guard in input as they are. If the first one ended before the VNI, the guard would not recognize it as VXLAN.
func untracked(r Rules) nft.Chain {
	return filterChain("output", nftables.ChainHookOutput, nftables.ChainPriorityRaw, newRule(overlay(r), notrack()))
}
