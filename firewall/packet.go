package firewall

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/subnet"
)

// packet describes packets that other programs must not drop. Their rules are evaluated for it. Only what all these packets
// have in common is known.
type packet struct {
	traffic   traffic
	what      string // in an operator's words
	family    subnet.Family
	ethertype uint16
	proto     byte // of the transport; 0: any
	network   bits // the IP header
	transport bits // what follows it
	in, out   device
	bridge    string // name of the bridge that forwards it
	state     uint32 // of connection tracking, as in nft's "ct state", once that has seen the packet
	local     bool   // the destination is an address of this node
	sameNode  bool   // between pods of this node. Their bridge shows them to chains of IP, if it does, past its own interface
}

// traffic is a kind of packets.
type traffic int

const (
	podsTraffic traffic = iota // forwarded between a pod of this node and one of another node
	tunnelIn                   // VXLAN from a peer
	tunnelOut                  // VXLAN to a peer
	bridged                    // frames of the bridge that the pods of this node are attached to
)

// hooks holds the hooks that each kind of packets passes, of IP or of bridges.
var hooks = map[traffic][]nftables.ChainHook{
	podsTraffic: {*nftables.ChainHookPrerouting, *nftables.ChainHookForward, *nftables.ChainHookPostrouting},
	tunnelIn:    {*nftables.ChainHookPrerouting, *nftables.ChainHookInput},
	tunnelOut:   {*nftables.ChainHookOutput, *nftables.ChainHookPostrouting},
	bridged: {
		*nftables.ChainHookPrerouting, *nftables.ChainHookInput, *nftables.ChainHookForward,
		*nftables.ChainHookOutput, *nftables.ChainHookPostrouting,
	},
}

// inetIngress is the hook of an interface in the family inet (NF_INET_INGRESS).
const inetIngress nftables.ChainHook = 5

// device is an interface that a packet comes from or goes to. The zero value is an unknown interface.
type device struct {
	name  string
	index uint32 // 0: not known
	none  bool   // there is no interface: a packet that the node itself sends has no input interface
}

// The states of connection tracking in nft's numbers (enum nft_ct_state and ip_conntrack_info).
const (
	stateInvalid     = 1
	stateEstablished = 2
	stateNew         = 8
	stateUntracked   = 64
)

// packetsOf returns the packets that Rules need accepted. index returns an interface's index by its name.
func packetsOf(r Rules, index func(name string) uint32) []packet {
	return append(podPackets(r, index), tunnelPackets(r, index)...)
}

// podPackets returns TCP packets of both directions, of new and of established connections. TCP matters: rules that accept
// only ping still cut off pods.
func podPackets(r Rules, index func(name string) uint32) (all []packet) {
	pods := device{}
	if len(r.PodInterfaces) == 1 {
		pods = device{name: r.PodInterfaces[0], index: index(r.PodInterfaces[0])}
	}
	for _, f := range subnet.Families {
		own := r.Subnet.Half(f)
		if !own.IsValid() {
			continue
		}
		overlay := device{}
		if name := r.Overlay[f]; name != "" && !r.Network.VXLAN.DirectRouting {
			overlay = device{name: name, index: index(name)}
		}
		for _, state := range []uint32{stateNew, stateEstablished} {
			p := packet{traffic: podsTraffic, family: f, ethertype: ethertypes[f], state: state, proto: unix.IPPROTO_TCP}
			for _, others := range r.podPrefixes(f) {
				from, to := p, p
				from.what, from.network, from.in, from.out = "packets from pods to other nodes", ipHeader(f, own, others, p.proto), pods, overlay
				to.what, to.network, to.in, to.out = "packets from other nodes to pods", ipHeader(f, others, own, p.proto), overlay, pods
				all = append(all, from, to)
			}
			if !r.BridgeHidden {
				p.what, p.network, p.in, p.out, p.sameNode = "packets between pods of this node", ipHeader(f, own, own, p.proto), pods, pods, true
				all = append(all, p)
			}
		}
	}
	return all
}

// maxProbedPeers bounds the number of peers that the rules are evaluated for.
const maxProbedPeers = 16

// tunnelPackets returns VXLAN of the first peers of each family, in and out.
func tunnelPackets(r Rules, index func(name string) uint32) (all []packet) {
	carrier := device{}
	if r.Underlay != "" {
		carrier = device{name: r.Underlay, index: index(r.Underlay)}
	}
	var count [len(subnet.Families)]int
	for _, peer := range r.Peers {
		f := subnet.FamilyOf(peer)
		if count[f]++; count[f] > maxProbedPeers {
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
		p := packet{family: f, ethertype: ethertypes[f], proto: unix.IPPROTO_UDP, state: stateUntracked, transport: vxlanHeader(r.Network.VXLAN)}
		in, out := p, p
		in.traffic, in.what, in.network, in.in, in.local = tunnelIn, "VXLAN from "+peer.String(), ipHeader(f, remote, local, p.proto), carrier, true
		out.traffic, out.what, out.network, out.out = tunnelOut, "VXLAN to "+peer.String(), ipHeader(f, local, remote, p.proto), carrier
		all = append(all, in, out)
	}
	return all
}

// bridgePackets returns the frames of pods on a bridge: from pods, to pods, and those of ARP and neighbour discovery.
func bridgePackets(r Rules, bridge string) (all []packet) {
	for _, f := range subnet.Families {
		own := r.Subnet.Half(f)
		if !own.IsValid() {
			continue
		}
		anywhere := netip.PrefixFrom(own.Addr(), 0)
		p := packet{traffic: bridged, family: f, ethertype: ethertypes[f], bridge: bridge, proto: unix.IPPROTO_TCP}
		from, to, ask := p, p, p
		from.what, from.network = "pods' "+f.String()+" packets on "+bridge, ipHeader(f, own, anywhere, p.proto)
		to.what, to.network = from.what, ipHeader(f, anywhere, own, p.proto)
		if f == subnet.IPv4 {
			ask.what, ask.ethertype, ask.proto = "pods' ARP packets on "+bridge, unix.ETH_P_ARP, 0
		} else {
			ask.what, ask.proto = "pods' neighbour discovery on "+bridge, unix.IPPROTO_ICMPV6
			ask.network = ipHeader(f, netip.MustParsePrefix("fe80::/10"), anywhere, ask.proto)
		}
		all = append(all, from, to, ask)
	}
	return all
}

// part returns a part of a header. Tunnel packets are all alike: an unknown bit does not divide them into those that match
// and those that do not.
func (p packet) part(header bits, from, n int) bits {
	b := header.cut(from, n)
	b.unsupported = (p.traffic == tunnelIn || p.traffic == tunnelOut) && slices.ContainsFunc(b.known, func(k byte) bool { return k != 0xff })
	return b
}

var nfprotos = [...]byte{subnet.IPv4: unix.NFPROTO_IPV4, subnet.IPv6: unix.NFPROTO_IPV6}

var ethertypes = [...]uint16{subnet.IPv4: unix.ETH_P_IP, subnet.IPv6: unix.ETH_P_IPV6}

// stateAt returns the value of "ct state" at a hook. Connection tracking handles packets in prerouting and output, at
// priority -200. podlane exempts its VXLAN at priority -300. Other chains of that priority may run before or after
// podlane's.
func (p packet) stateAt(h nftables.ChainHook, priority nftables.ChainPriority) (state uint32, known bool) {
	first := h == *nftables.ChainHookPrerouting || h == *nftables.ChainHookOutput
	switch {
	case p.traffic == bridged, h == inetIngress:
		return 0, false
	case first && p.state == stateUntracked && priority == *nftables.ChainPriorityRaw:
		return 0, false
	case first && p.state == stateUntracked && priority < *nftables.ChainPriorityRaw,
		first && p.state != stateUntracked && priority <= *nftables.ChainPriorityConntrack:
		return stateInvalid, true
	}
	return p.state, true
}

// ipHeader returns an IP header without options (RFC 791 section 3.1, RFC 8200 section 3).
func ipHeader(f subnet.Family, from, to netip.Prefix, proto byte) bits {
	h := unknown([...]int{subnet.IPv4: 20, subnet.IPv6: 40}[f])
	set := func(at int, b bits) {
		copy(h.value[at:], b.value)
		copy(h.known[at:], b.known)
	}
	at := [...]int{subnet.IPv4: 9, subnet.IPv6: 6}[f]
	if f == subnet.IPv4 {
		set(0, exactly([]byte{0x45}))
		set(6, bits{value: []byte{0, 0}, known: []byte{0x3f, 0xff}}) // not a fragment
	} else {
		set(0, bits{value: []byte{0x60}, known: []byte{0xf0}})
	}
	if proto != 0 {
		set(at, exactly([]byte{proto}))
	}
	set(int(source.offset(f)), inPrefix(from))
	set(int(destination.offset(f)), inPrefix(to))
	return h
}

// vxlanHeader returns the UDP header and the VXLAN header (RFC 7348 section 5). The source port is unknown.
func vxlanHeader(x subnet.VXLAN) bits {
	h := unknown(16)
	binary.BigEndian.PutUint16(h.value[2:], x.Port)
	binary.BigEndian.PutUint32(h.value[8:], 0x08000000)
	binary.BigEndian.PutUint32(h.value[12:], x.VNI<<8)
	for i := range h.known {
		if i >= 2 && i < 4 || i >= 8 {
			h.known[i] = 0xff
		}
	}
	return h
}
