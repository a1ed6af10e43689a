package firewall

import (
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/podlane/podlane/nft"
	"github.com/podlane/podlane/subnet"
)

// vxlanGuard lets VXLAN of our port and VNI reach the node from its peers alone, and lets pods send it to nobody. VXLAN
// carries no proof of who made it: whoever can send it to a node speaks as any pod. So it is dropped
//
//	in prerouting  where it did not come by an interface by which the kernel would answer its source: what bears a
//	               peer's address and comes from a pod does not
//	in input       where a pod sent it, or somebody who is no peer, or where it goes to an address of the pod network:
//	               peers' tunnels end on the underlay, and what goes there may have come out of a tunnel
//	in forward     where a pod sent it: masqueraded, it would come to another node from this one, a peer there
//
// IPv4's reverse path is strict (RFC 3704 section 2.2): where there is a default route any source has a loose one, and
// a forged one would pass. So a peer has to be answered by the link it calls on, or by any one of several in a multipath
// route. IPv6's is loose, that there is a route at all: with an interface given, the kernel still looks at only one of
// the next hops of a multipath route, and what a peer sends by the others would be dropped (seen in Linux 6.18). What
// comes from pods is dropped all the same, by its interface; not so what a container that is no pod, or a virtual
// machine, sends to its host with a peer's IPv6 address: who runs such lets them use no addresses but their own.
//
// The test is in prerouting since input has it only from Linux 5.19 on; that of the source is in input since only there
// no destination NAT can make VXLAN of ours out of something else any more.
//
// If a peer's packet arrives on a wrong interface, the chain vxlan_wrong_iface records both before it drops, for a note.
//
// A drop is final whatever the chains of others say, and an accept only means no drop of ours. The chains come before
// the filters of others, which then have nothing of this to count or to log.
func vxlanGuard(r Rules) nft.Table {
	input := filterChain("vxlan_input", nftables.ChainHookInput, beforeFilters, newRule(overlay(r), goTo("vxlan_to_node")))
	forward := filterChain("vxlan_forward", nftables.ChainHookForward, beforeFilters, newRule(overlay(r), goTo("vxlan_from_pods")))
	fromPods := nft.Chain{Name: "vxlan_from_pods", Rules: []nft.Rule{newDrop("vxlan_from_a_pod", fromPod())}}
	for _, f := range subnet.Families {
		if from := r.Subnet.Half(f); from.IsValid() {
			fromPods.Rules = append(fromPods.Rules, newDrop("vxlan_from_a_pod", ofFamily(f), address(source, expr.CmpOpEq, from)))
		}
	}
	toNode := nft.Chain{Name: "vxlan_to_node", Rules: []nft.Rule{newRule(jump(fromPods.Name))}}
	if r.Peers == nil {
		return nft.Table{Chains: []nft.Chain{input, toNode, forward, fromPods}}
	}
	arriving := filterChain("vxlan_prerouting", nftables.ChainHookPrerouting, nftables.ChainPriorityRaw)
	wrongInterface := nft.Chain{Name: "vxlan_wrong_iface"}
	var sets []nft.Set
	for _, f := range subnet.Families {
		reverse := [...]part{subnet.IPv4: noWayBack(), subnet.IPv6: noRoute()}[f]
		arriving.Rules = append(arriving.Rules, newRule(anyOf(f), overlay(r), to(expr.CmpOpEq, local), reverse, goTo(wrongInterface.Name)))
		s := peers(r, f)
		sets = append(sets, s)
		wrongInterface.Rules = append(wrongInterface.Rules, newRule(ofFamily(f), addressIn(source, f, s), recordArrival(f)))
		toNode.Rules = append(toNode.Rules, newRule(ofFamily(f), addressIn(source, f, s), outside(destination, r.pods(f)), accept()))
	}
	wrongInterface.Rules = append(wrongInterface.Rules, newDrop("vxlan_from_a_wrong_interface"))
	toNode.Rules = append(toNode.Rules, newDrop("vxlan_not_from_a_peer"))
	return nft.Table{
		Chains: []nft.Chain{arriving, wrongInterface, input, toNode, forward, fromPods},
		Sets:   append(sets, wrongInterfaceSet(subnet.IPv4), wrongInterfaceSet(subnet.IPv6)),
	}
}

// peers is the set of the peers' public addresses of one family.
func peers(r Rules, f subnet.Family) nft.Set {
	s := [...]nft.Set{
		subnet.IPv4: {Name: "peers4", KeyType: nftables.TypeIPAddr},
		subnet.IPv6: {Name: "peers6", KeyType: nftables.TypeIP6Addr},
	}[f]
	for _, a := range r.Peers {
		if subnet.FamilyOf(a) == f {
			s.Elements = append(s.Elements, nft.AddrElement(a))
		}
	}
	return s
}

// podInterfaces is the set of the interfaces that lead to pods.
func podInterfaces(r Rules) nft.Set {
	s := nft.Set{Name: "pod_interfaces", KeyType: nftables.TypeIFName}
	for _, name := range r.PodInterfaces {
		s.Elements = append(s.Elements, nft.InterfaceElement(name))
	}
	return s
}

// overlay matches VXLAN of our port and VNI.
func overlay(r Rules) part { return join(portTo(udp, r.Network.VXLAN.Port), vni(r.Network.VXLAN.VNI)) }

// The sets that record arrivals on a wrong interface are small. Each element expires after its last packet.
const (
	maxWrongArrivals    = 64
	wrongArrivalTimeout = 10 * time.Second
)

var wrongInterfaceBounds = nft.Dynamic{Size: maxWrongArrivals, Timeout: wrongArrivalTimeout}
