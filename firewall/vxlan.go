package firewall

import (
	"net/netip"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/podlane/podlane/nft"
	"github.com/podlane/podlane/subnet"
)

// vxlanGuard accepts VXLAN of podlane's port and VNI only from peers, and never from pods. VXLAN does not prove its sender. Any
// host that can send it to a node can send as any pod. So it is dropped
//
//	in prerouting  if it fails a reverse-path check, with one exception: so a pod cannot use a peer's IPv4 address
//	in input       if it came from a pod, or from a host that is not a peer
//	               if its destination is a pod's address: peers send to underlay addresses, so it may come out of a tunnel
//	in forward     if it came from a pod: masqueraded, it would reach another node with the address of this one, a peer
//	               if it goes from any pod to a peer: see vxlanToPeers
//
// The exception is a peer's VXLAN that arrives on the underlay interface, at this node's address, if no other interface can lead to
// the peer. An early rule accepts it without a reverse-path check (fromPeersWay).
//
// IPv4's check is strict (RFC 3704 section 2.2). With a default route, a loose one accepts any source. So the route to a peer
// must lead over the link of its packets. In a multipath route, any of the links is accepted.
//
// IPv6's check is loose: some route must exist. A strict one checks only one next hop of a multipath route (seen in Linux
// 6.18). It would drop what a peer sends over the others. VXLAN from pods is still dropped, by its interface. But a container
// that is not a pod, or a virtual machine, can send to its host with a peer's IPv6 address. Its operator must restrict it to
// its own addresses.
//
// The reverse path is checked in prerouting: input supports that only from Linux 5.19 on. The source is checked in input,
// after destination NAT. NAT can turn another packet into this node's VXLAN.
//
// The chain vxlan_wrong_iface drops what fails the reverse-path check. If the source is a peer, it first records the peer and the
// interface, for a note in Advice.
//
// A drop is final, whatever other programs' chains decide. An accept only skips podlane's drops. The chains come before other
// programs' filters, so these do not count or log what is dropped here.
func vxlanGuard(r Rules) nft.Table {
	arriving := nft.Chain{Name: "vxlan_arrives", Rules: []nft.Rule{newRule(destinationType(expr.CmpOpNeq, local), returning())}}
	general := nft.Chain{Name: notFromPods, Rules: []nft.Rule{newRule(jump(podAddresses)), newRule(overlay(r), goTo(arriving.Name))}}
	fromPods := nft.Chain{Name: vxlanFromPods, Rules: []nft.Rule{newDrop("vxlan_from_a_pod", fromPod())}}
	for _, f := range subnet.Families {
		if from := r.Subnet.Half(f); from.IsValid() {
			fromPods.Rules = append(fromPods.Rules, newDrop("vxlan_from_a_pod", ofFamily(f), address(source, expr.CmpOpEq, from)))
		}
	}
	if r.Peers != nil {
		fromPods.Rules = append(fromPods.Rules, vxlanToPeers(r)...)
	}
	toNode := nft.Chain{Name: "vxlan_to_node", Rules: []nft.Rule{newRule(jump(fromPods.Name))}}
	toPort := nft.Chain{Name: vxlanToPort}
	for _, f := range r.families() {
		if match, ok := fromPeer(r, f); ok && r.Underlay.Index != 0 {
			toPort.Rules = append(toPort.Rules, newRule(fromInterface(r.Underlay), match, accept()))
		}
	}
	toPort.Rules = append(toPort.Rules, newRule(vni(r.Network.VXLAN.VNI), goTo(toNode.Name)))
	t := nft.Table{}
	if r.Peers != nil {
		wrongInterface := nft.Chain{Name: "vxlan_wrong_iface"}
		for _, f := range r.families() {
			reverse := [...]part{subnet.IPv4: noReversePath(), subnet.IPv6: noRouteBack()}[f]
			arriving.Rules = append(arriving.Rules, newRule(anyOf(f), reverse, goTo(wrongInterface.Name)))
			s := peers(r, f)
			t.Sets = append(t.Sets, s)
			wrongInterface.Rules = append(wrongInterface.Rules, newRule(ofFamily(f), addressIn(source, f, s), recordArrival(f)))
			toNode.Rules = append(toNode.Rules, newRule(ofFamily(f), addressIn(source, f, s), outside(destination, r.pods(f)), accept()))
		}
		wrongInterface.Rules = append(wrongInterface.Rules, newDrop("vxlan_from_a_wrong_interface"))
		toNode.Rules = append(toNode.Rules, newDrop("vxlan_not_from_a_peer"))
		t.Chains = []nft.Chain{wrongInterface}
		for _, f := range r.families() {
			t.Sets = append(t.Sets, wrongInterfaceSet(f))
		}
	}
	arriving.Rules = append(arriving.Rules, newRule(notUntracked(), notrack()))
	t.Chains = append([]nft.Chain{general, arriving}, append(t.Chains, toPort, toNode, fromPods)...)
	return t
}

// vxlanToPeers returns the rules that drop VXLAN from pods of all nodes to peers. Such a pod can be the backend of a Service that this
// node masquerades. If a peer opened that flow from the VXLAN port, the pod's answer would get this node's address only after forward.
func vxlanToPeers(r Rules) (rules []nft.Rule) {
	for _, f := range subnet.Families {
		for _, pods := range r.pods(f) {
			rules = append(rules, newDrop("vxlan_from_a_pod", ofFamily(f), inside(source, pods), addressIn(destination, f, peers(Rules{}, f))))
		}
	}
	return rules
}

// The names of the chains for packets to the VXLAN port of the node, and for VXLAN that the node forwards.
const (
	vxlanToPort   = "vxlan_to_port"
	vxlanFromPods = "vxlan_from_pods"
)

// peers returns the set of the peers' public addresses of one family.
func peers(r Rules, f subnet.Family) nft.Set {
	s := [...]nft.Set{
		subnet.IPv4: {Name: "peers4", KeyType: nftables.TypeIPAddr},
		subnet.IPv6: {Name: "peers6", KeyType: nftables.TypeIP6Addr},
	}[f]
	s.Elements = nft.AddrElements(func(yield func(netip.Addr) bool) {
		for _, a := range r.Peers {
			if subnet.FamilyOf(a) == f && !yield(a) {
				return
			}
		}
	})
	return s
}

// podInterfaces returns the set of the pods' interfaces.
func podInterfaces(r Rules) nft.Set {
	s := nft.Set{Name: "pod_interfaces", KeyType: nftables.TypeIFName}
	for _, name := range r.PodInterfaces {
		s.Elements = append(s.Elements, nft.InterfaceElement(name))
	}
	return s
}

// overlay matches VXLAN of podlane's port and VNI.
func overlay(r Rules) part { return join(portTo(udp, r.Network.VXLAN.Port), vni(r.Network.VXLAN.VNI)) }

// The sets that record arrivals on a wrong interface are small. Each element expires after its last packet.
const (
	maxWrongArrivals    = 64
	wrongArrivalTimeout = 10 * time.Second
)

var wrongInterfaceBounds = nft.Dynamic{Size: maxWrongArrivals, Timeout: wrongArrivalTimeout}
