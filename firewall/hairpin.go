package firewall

import (
	"encoding/binary"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/nft"
	"github.com/podlane/podlane/subnet"
)

// statusDNAT is IPS_DST_NAT of linux/netfilter/nf_conntrack_common.h: the destination was translated.
const statusDNAT = 1 << 5

// bridgedAnswers returns the rules for a pod that reaches another pod of its node through a port of the node, or a Service.
// The other pod would answer over the bridge, past connection tracking. The first pod would discard the answer:
//
//	pod A -> node:8080 -> (translated) pod B
//	pod B -> pod A, over the bridge: A waits for an answer from node:8080
//
// With the node's address as the source, the answer returns to the node, which translates it. But then pod B does not see the
// client's address. So these rules are only for a kernel without the module br_netfilter.
func bridgedAnswers(r Rules) (rules []nft.Rule) {
	for _, f := range subnet.Families {
		if own := r.Subnet.Half(f); r.BridgeHidden && own.IsValid() {
			rules = append(rules, newRule(ofFamily(f), address(source, expr.CmpOpEq, own), address(destination, expr.CmpOpEq, own),
				translated(), masquerade()))
		}
	}
	return rules
}

// translated matches a packet whose destination was translated on this node.
func translated() part {
	word := func(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }
	return part{"ct status dnat", []expr.Any{
		&expr.Ct{Key: unix.NFT_CT_STATUS, Register: register},
		&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 4, Mask: word(statusDNAT), Xor: word(0)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: word(0)},
	}}
}
