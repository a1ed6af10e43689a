package firewall

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/subnet"
)

// strays is the set of the peers whose VXLAN is dropped because it arrived by a wrong interface, each with that interface.
// Only packets with the address of a peer get there, so strangers cannot fill it.
func strays(f subnet.Family) set {
	return [...]set{
		subnet.IPv4: {name: "vxlan_astray4", datatype: nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeIFName), learned: true},
		subnet.IPv6: {name: "vxlan_astray6", datatype: nftables.MustConcatSetType(nftables.TypeIP6Addr, nftables.TypeIFName), learned: true},
	}[f]
}

// learn adds a packet's source and interface to strays. The key lies in registers one after the other.
func learn(f subnet.Family) part {
	second := [...]uint32{subnet.IPv4: unix.NFT_REG32_01, subnet.IPv6: unix.NFT_REG_2}[f]
	into := strays(f).name
	return part{"update @" + into + " { " + addressWords(source, f) + ". iifname }", []expr.Any{
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: source.offset(f), Len: uint32(f.Bits() / 8)}, //nolint:gosec // 4 or 16
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: second},
		&expr.Dynset{SrcRegKey: register, SetName: into, Operation: unix.NFT_DYNSET_OP_UPDATE},
	}}
}

// maxStrayNotes bounds how many peers are named.
const maxStrayNotes = 8

// strayNotes names the peers in strays. Others may be in it for a while: those that are no peers any more.
func strayNotes(have snapshot, r Rules) (notes []string) {
	for _, f := range subnet.Families {
		h, _ := have.set(strays(f).name)
		for _, e := range h.elements {
			n := f.Bits() / 8
			if len(e) < n {
				continue
			}
			peer, _ := netip.AddrFromSlice([]byte(e[:n]))
			by := text([]byte(e[n:]))
			if !slices.Contains(r.Peers, peer) || slices.Contains(r.PodInterfaces, by) || slices.Contains(r.Overlay[:], by) {
				continue // forged, if it came from a pod
			}
			notes = append(notes, fmt.Sprintf("VXLAN from peer %s arrives by %s, by which this node does not answer it, and is dropped (vxlan_from_a_wrong_interface); "+
				"to answer it there, run: ip route replace %[1]s dev %[2]s (with the gateway there, if it is not on that link); or have the peer send by the interface of the address that it announces", peer, by))
		}
	}
	slices.Sort(notes)
	if more := len(notes) - maxStrayNotes; more > 0 {
		notes = append(notes[:maxStrayNotes:maxStrayNotes], fmt.Sprintf("VXLAN from %d more peers arrives by a wrong interface", more))
	}
	return notes
}
