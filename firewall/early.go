package firewall

import (
	"net"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/podlane/podlane/nft"
	"github.com/podlane/podlane/subnet"
)

// Early rules accept most packets after a few comparisons. What they do not accept goes on to the general rules, which look up
// routes (fib). A lookup costs 0.15 to 0.2 µs, and a round trip between two pods had a dozen of them.
//
// An early rule compares addresses instead of a route lookup:
//
//   - fromBridge relies on the bridge. A pod may use every address of the pod subnet, even if the route to some of them leads
//     through another interface.
//   - fromPeerSubnet relies on the peer's lease, even if the route to its pod subnet is missing.
//   - fromPeersWay relies on Rules.OnlyWay: the route to every peer leads over the underlay. Otherwise it looks up the route, but
//     nothing else.
//
// Each function documents when there is no such rule. Then the general rules decide.
//
// Packets reach an early rule by the index of their interface. The index can be out of date: a new interface of the same name
// has another one. Then the rule matches nothing, and the general rules decide. So no valid packet is lost, and no check is
// skipped.

// fromBridge matches packets of a family from the pods, if their source is in the pod subnet. It does not match the node's own
// addresses there. ok is false, and there is no rule, unless
//
//   - the bridge is the only interface that leads to pods
//   - an address of the bridge has the prefix length of the pod subnet: from it, the kernel makes the route to all pods
func fromBridge(r Rules, f subnet.Family) (match part, ok bool) {
	own := r.Subnet.Half(f)
	if r.Bridge.Index == 0 || !slices.Equal(r.PodInterfaces, []string{r.Bridge.Name}) || !own.IsValid() {
		return part{}, false
	}
	ofNode := []netip.Addr{own.Masked().Addr()} // the overlay's device has the first address
	for _, p := range r.Bridge.Addrs {
		ok = ok || p.Masked() == own
		if own.Contains(p.Addr()) && !slices.Contains(ofNode, p.Addr()) {
			ofNode = append(ofNode, p.Addr())
		}
	}
	match = join(ofFamily(f), inSubnet(source, own))
	for _, a := range ofNode {
		match = join(match, address(source, expr.CmpOpNeq, netip.PrefixFrom(a, f.Bits())))
	}
	return match, ok
}

// fromPeerSubnet matches packets of a family with a source in peerSubnets. The pod network must have the family.
func fromPeerSubnet(r Rules, f subnet.Family) part {
	return join(ofFamily(f), maskedIn(source, f, r.Network.Range(f).SubnetLen, peerSubnets(Rules{}, f)))
}

// peerSubnets returns the set of the peers' pod subnets of one family, by their first address. It omits
//
//   - those of another length than the pod network's: the rule compares only that many bits
//   - those that overlap this node's pod subnet
func peerSubnets(r Rules, f subnet.Family) nft.Set {
	s := [...]nft.Set{
		subnet.IPv4: {Name: "peer_subnets4", KeyType: nftables.TypeIPAddr},
		subnet.IPv6: {Name: "peer_subnets6", KeyType: nftables.TypeIP6Addr},
	}[f]
	own := r.Subnet.Half(f)
	s.Elements = nft.AddrElements(func(yield func(netip.Addr) bool) {
		for _, p := range r.PeerSubnets {
			comparable := subnet.FamilyOf(p.Addr()) == f && p.Bits() == r.Network.Range(f).SubnetLen
			if comparable && !(own.IsValid() && own.Overlaps(p)) && !yield(p.Masked().Addr()) {
				return
			}
		}
	})
	return s
}

// fromPeer matches packets of a family from a peer's public address to this node's address on the underlay. The caller matches
// the underlay interface. ok is false, and there is no rule, if
//
//   - the peers or this node's address are unknown
//   - the underlay interface leads to pods
//   - this node's address or any peer's is one that pods can have
func fromPeer(r Rules, f subnet.Family) (match part, ok bool) {
	self, ok := tunnelEnd(r, f)
	return join(ofFamily(f), address(destination, expr.CmpOpEq, self), addressIn(source, f, peers(Rules{}, f))), ok
}

// fromPeersWay is fromPeer for prerouting: the packet must come the way that leads back to its source. On the only way that is
// sure for every peer, otherwise it is looked up.
func fromPeersWay(r Rules, f subnet.Family) (match part, ok bool) {
	if r.OnlyWay {
		return fromPeer(r, f)
	}
	self, ok := tunnelEnd(r, f)
	back := [...]part{subnet.IPv4: reversePath(), subnet.IPv6: routeBack()}[f]
	return join(ofFamily(f), address(destination, expr.CmpOpEq, self), back), ok
}

// tunnelEnd returns this node's address on the underlay. ok is false in the cases of fromPeer.
func tunnelEnd(r Rules, f subnet.Family) (self netip.Prefix, ok bool) {
	at := slices.IndexFunc(r.Addrs, func(a netip.Addr) bool { return subnet.FamilyOf(a) == f })
	if at < 0 || r.Peers == nil || slices.Contains(r.PodInterfaces, r.Underlay.Name) {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0), false
	}
	isPod := func(a netip.Addr) bool {
		return slices.ContainsFunc(r.Pods, func(i subnet.Interval) bool { return i.Contains(a) })
	}
	return netip.PrefixFrom(r.Addrs[at], f.Bits()), !isPod(r.Addrs[at]) && !slices.ContainsFunc(r.Peers, isPod)
}

// inSubnet matches a packet's address in a prefix. Unlike address, it always loads the whole address: the kernel loads 4 aligned
// bytes faster than 3.
func inSubnet(s side, p netip.Prefix) part {
	f := subnet.FamilyOf(p.Addr())
	compare := &expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: p.Masked().Addr().AsSlice()}
	return part{addressText(s, f) + p.Masked().String(), append(masked(s, f, p.Bits()), compare)}
}

// maskedIn looks up a packet's address in a set, after masked has cleared its last bits.
func maskedIn(s side, f subnet.Family, bits int, in nft.Set) part {
	text := addressText(s, f) + "& " + net.IP(net.CIDRMask(bits, f.Bits())).String() + " == @" + in.Name
	return part{text, append(masked(s, f, bits), &expr.Lookup{SourceRegister: register, SetName: in.Name})}
}

// masked loads a packet's address, keeps its first bits and clears the others.
func masked(s side, f subnet.Family, bits int) []expr.Any {
	mask := net.CIDRMask(bits, f.Bits())
	size := uint32(len(mask)) //nolint:gosec // 4 or 16
	return []expr.Any{
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: s.offset(f), Len: size},
		&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: size, Mask: mask, Xor: make([]byte, size)},
	}
}
