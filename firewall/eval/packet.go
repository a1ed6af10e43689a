package eval

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/subnet"
)

// Packet describes packets that other programs must not drop. Only what all these packets have in common is known.
type Packet struct {
	Traffic  Traffic
	What     string // in an operator's words
	Family   subnet.Family
	ARP      bool // an ARP packet, not an IP packet
	Protocol byte // of the transport; 0: any

	Source, Destination netip.Prefix // the packets have all these addresses; not valid: unknown
	VXLAN               subnet.VXLAN // of TunnelIn and TunnelOut

	In, Out  Interface
	Bridge   string // name of the bridge that forwards it
	State    State  // once connection tracking has handled the packet
	Local    bool   // the destination is an address of this node
	SameNode bool   // between pods of this node: the bridge's chains of netdev and of inet's ingress do not see it
}

// Traffic is a kind of packets.
type Traffic int

// The kinds of packets.
const (
	Forwarded Traffic = iota // between a pod of this node and another pod
	TunnelIn                 // VXLAN from a peer
	TunnelOut                // VXLAN to a peer
	Bridged                  // frames of the bridge that the pods of this node are attached to
)

// hooks holds the hooks that each kind of packets passes, of IP or of bridges.
var hooks = map[Traffic][]nftables.ChainHook{
	Forwarded: {*nftables.ChainHookPrerouting, *nftables.ChainHookForward, *nftables.ChainHookPostrouting},
	TunnelIn:  {*nftables.ChainHookPrerouting, *nftables.ChainHookInput},
	TunnelOut: {*nftables.ChainHookOutput, *nftables.ChainHookPostrouting},
	Bridged: {
		*nftables.ChainHookPrerouting, *nftables.ChainHookInput, *nftables.ChainHookForward,
		*nftables.ChainHookOutput, *nftables.ChainHookPostrouting,
	},
}

// Interface is an interface on which a packet arrives or leaves. The zero value is an unknown interface.
type Interface struct {
	Name  string
	Index uint32 // 0: unknown
	none  bool   // there is no interface: a packet that the node itself sends does not arrive on one
}

// State is a state of connection tracking in nft's numbers (enum nft_ct_state and ip_conntrack_info).
type State uint32

// The states.
const (
	Invalid     State = 1
	Established State = 2
	New         State = 8
	Untracked   State = 64
)

// hookPoint is the point at which a base chain sees the packets.
type hookPoint struct {
	family   nftables.TableFamily
	hook     nftables.ChainHook
	priority nftables.ChainPriority
}

// stateAt returns the value of "ct state" at a hook. Connection tracking handles packets in prerouting and output, at
// priority -200. podlane exempts its VXLAN at priority -300. Other chains of that priority may run before or after
// podlane's.
func (p Packet) stateAt(at hookPoint) (state State, known bool) {
	first := at.hook == *nftables.ChainHookPrerouting || at.hook == *nftables.ChainHookOutput
	switch {
	case p.Traffic == Bridged, at.hook == inetIngress:
		return 0, false
	case first && p.State == Untracked && at.priority == *nftables.ChainPriorityRaw:
		return 0, false
	case first && p.State == Untracked && at.priority < *nftables.ChainPriorityRaw,
		first && p.State != Untracked && at.priority <= *nftables.ChainPriorityConntrack:
		return Invalid, true
	}
	return p.State, true
}

// interfacesAt returns the interfaces that a rule sees at a hook.
func (p Packet) interfacesAt(hook nftables.ChainHook) (in, out Interface) {
	in, out = p.In, p.Out
	switch hook {
	case *nftables.ChainHookPrerouting, *nftables.ChainHookInput, inetIngress:
		out = Interface{none: true}
	case *nftables.ChainHookOutput:
		in = Interface{none: true}
	case *nftables.ChainHookPostrouting: // kernels differ in what they show
		in = Interface{}
	}
	return in, out
}

// destinationType returns the type of the destination by the node's routes (rtnetlink(7), rtm_type).
func (p Packet) destinationType() uint32 {
	if p.Local {
		return unix.RTN_LOCAL
	}
	return unix.RTN_UNICAST
}

// packet is a Packet with its headers.
type packet struct {
	Packet
	ethertype uint16
	network   bits // the IP header
	transport bits // what follows it
}

func newPacket(p Packet) packet {
	with := packet{Packet: p, ethertype: [...]uint16{subnet.IPv4: unix.ETH_P_IP, subnet.IPv6: unix.ETH_P_IPV6}[p.Family]}
	switch {
	case p.ARP:
		with.ethertype = unix.ETH_P_ARP
	case p.Source.IsValid():
		with.network = ipHeader(p)
	}
	if p.isTunnel() {
		with.transport = vxlanHeader(p.VXLAN)
	}
	return with
}

func (p Packet) isTunnel() bool { return p.Traffic == TunnelIn || p.Traffic == TunnelOut }

// part returns a part of a header. A condition on an unknown bit may match some packets of pods and not others. But tunnel
// packets are all alike: it matches all of them or none. So their unknown bits are unsupported.
func (p packet) part(header bits, from, n int) bits {
	b := header.part(from, n)
	b.unsupported = p.isTunnel() && slices.ContainsFunc(b.known, func(k byte) bool { return k != 0xff })
	return b
}

// side is one of a packet's two addresses, or of its two ports.
type side int

const (
	source side = iota
	destination
)

// addressOffset returns the position of an address in the IP header (RFC 791 section 3.1, RFC 8200 section 3), in bytes.
func addressOffset(s side, f subnet.Family) int {
	return [...][2]int{subnet.IPv4: {12, 16}, subnet.IPv6: {8, 24}}[f][s]
}

// ipHeader returns an IP header without options.
func ipHeader(p Packet) bits {
	h := unknownBits([...]int{subnet.IPv4: 20, subnet.IPv6: 40}[p.Family])
	set := func(at int, b bits) {
		copy(h.value[at:], b.value)
		copy(h.known[at:], b.known)
	}
	if p.Family == subnet.IPv4 {
		set(0, knownBits([]byte{0x45}))
		set(6, bits{value: []byte{0, 0}, known: []byte{0x3f, 0xff}}) // not a fragment
	} else {
		set(0, bits{value: []byte{0x60}, known: []byte{0xf0}})
	}
	if p.Protocol != 0 {
		set([...]int{subnet.IPv4: 9, subnet.IPv6: 6}[p.Family], knownBits([]byte{p.Protocol}))
	}
	set(addressOffset(source, p.Family), prefixBits(p.Source))
	set(addressOffset(destination, p.Family), prefixBits(p.Destination))
	return h
}

// vxlanHeader returns the UDP header and the VXLAN header (RFC 7348 section 5). The source port is unknown.
func vxlanHeader(x subnet.VXLAN) bits {
	h := unknownBits(16)
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
