package firewall

import (
	"github.com/google/nftables"
	"github.com/google/nftables/expr"

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
// The match "ct state != untracked" has a second effect: the kernel reassembles fragments before prerouting. Otherwise IPv6
// fragments would reach the guard in input as they are. If the first one ended before the VNI, the guard would not recognize
// it as VXLAN.
func untracked(r Rules) nft.Table {
	in := filterChain("untracked_in", nftables.ChainHookPrerouting, nftables.ChainPriorityRaw,
		newRule(notUntracked(), overlay(r), destinationType(expr.CmpOpEq, local), notrack()))
	out := filterChain("untracked_out", nftables.ChainHookOutput, nftables.ChainPriorityRaw,
		newRule(notUntracked(), overlay(r), notrack()))
	return nft.Table{Chains: []nft.Chain{in, out}}
}
