package firewall

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/firewall/eval"
	"github.com/podlane/podlane/subnet"
)

// requiredPackets returns the packets that the node needs accepted.
func requiredPackets(r Rules) []eval.Packet {
	return append(podPackets(r), tunnelPackets(r)...)
}

// evaluated returns an interface for the evaluation.
func (i Interface) evaluated() eval.Interface {
	return eval.Interface{Name: i.Name, Index: uint32(i.Index)} //nolint:gosec // the kernel's numbers are positive
}

// podPackets returns TCP packets of pods in both directions, of new and of established connections. They are TCP because rules
// that accept only ping still cut off pods.
func podPackets(r Rules) (all []eval.Packet) {
	pods := eval.Interface{}
	switch {
	case slices.Equal(r.PodInterfaces, []string{r.Bridge.Name}):
		pods = r.Bridge.evaluated()
	case len(r.PodInterfaces) == 1:
		pods.Name = r.PodInterfaces[0]
	}
	for _, f := range subnet.Families {
		own := r.Subnet.Half(f)
		if !own.IsValid() {
			continue
		}
		overlay := eval.Interface{}
		if !r.Network.VXLAN.DirectRouting {
			overlay = r.Overlay[f].evaluated()
		}
		for _, state := range []eval.State{eval.New, eval.Established} {
			p := eval.Packet{Traffic: eval.Forwarded, Family: f, State: state, Protocol: unix.IPPROTO_TCP}
			for _, remote := range r.podPrefixes(f) {
				from, to := p, p
				from.What, from.Source, from.Destination, from.In, from.Out = "packets from pods to other nodes", own, remote, pods, overlay
				to.What, to.Source, to.Destination, to.In, to.Out = "packets from other nodes to pods", remote, own, overlay, pods
				all = append(all, from, to)
			}
			if !r.BridgeHidden {
				p.What, p.Source, p.Destination, p.In, p.Out, p.SameNode = "packets between pods of this node", own, own, pods, pods, true
				all = append(all, p)
			}
		}
	}
	return all
}

// maxEvaluatedPeers bounds the number of peers that the rules are evaluated for.
const maxEvaluatedPeers = 16

// tunnelPackets returns VXLAN of the first peers of each family, in and out.
func tunnelPackets(r Rules) (all []eval.Packet) {
	underlay := r.Underlay.evaluated()
	var count [len(subnet.Families)]int
	for _, peer := range r.Peers {
		f := subnet.FamilyOf(peer)
		if count[f]++; count[f] > maxEvaluatedPeers {
			continue
		}
		local := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		if f == subnet.IPv6 {
			local = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
		if i := slices.IndexFunc(r.Addrs, func(a netip.Addr) bool { return subnet.FamilyOf(a) == f }); i >= 0 {
			local = netip.PrefixFrom(r.Addrs[i], r.Addrs[i].BitLen())
		}
		remote := netip.PrefixFrom(peer, peer.BitLen())
		p := eval.Packet{Family: f, Protocol: unix.IPPROTO_UDP, State: eval.Untracked, VXLAN: r.Network.VXLAN}
		in, out := p, p
		in.Traffic, in.What, in.Source, in.Destination, in.In, in.Local = eval.TunnelIn, "VXLAN from "+peer.String(), remote, local, underlay, true
		out.Traffic, out.What, out.Source, out.Destination, out.Out = eval.TunnelOut, "VXLAN to "+peer.String(), local, remote, underlay
		all = append(all, in, out)
	}
	return all
}

// bridgePackets returns the frames of pods on a bridge: from pods, to pods, and those of ARP and neighbour discovery.
func bridgePackets(r Rules, bridge string) (all []eval.Packet) {
	for _, f := range subnet.Families {
		own := r.Subnet.Half(f)
		if !own.IsValid() {
			continue
		}
		anywhere := netip.PrefixFrom(own.Addr(), 0)
		p := eval.Packet{Traffic: eval.Bridged, Family: f, Bridge: bridge, Protocol: unix.IPPROTO_TCP}
		from, to, resolve := p, p, p
		from.What, from.Source, from.Destination = "pods' "+f.String()+" packets on "+bridge, own, anywhere
		to.What, to.Source, to.Destination = from.What, anywhere, own
		if f == subnet.IPv4 {
			resolve.What, resolve.ARP, resolve.Protocol = "pods' ARP packets on "+bridge, true, 0
		} else {
			resolve.What, resolve.Protocol = "pods' neighbour discovery on "+bridge, unix.IPPROTO_ICMPV6
			resolve.Source, resolve.Destination = netip.MustParsePrefix("fe80::/10"), anywhere
		}
		all = append(all, from, to, resolve)
	}
	return all
}

// forwardedPackets returns the packets that the accept rules in FORWARD are for. They go from the pods of this node to
// anywhere, and back.
func forwardedPackets(r Rules, f subnet.Family) (all []eval.Packet) {
	own := r.Subnet.Half(f)
	if !own.IsValid() {
		return nil
	}
	anywhere := netip.PrefixFrom(own.Addr(), 0)
	pods := eval.Interface{}
	if len(r.PodInterfaces) == 1 {
		pods.Name = r.PodInterfaces[0]
	}
	for _, state := range []eval.State{eval.New, eval.Established} {
		p := eval.Packet{Traffic: eval.Forwarded, Family: f, State: state}
		from, to := p, p
		from.Source, from.Destination, from.In = own, anywhere, pods
		to.Source, to.Destination, to.Out = anywhere, own, pods
		all = append(all, from, to)
	}
	return all
}
