package firewall

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

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

// stray is a peer and the wrong interface by which its VXLAN arrives.
type stray struct {
	peer netip.Addr
	by   string
}

// strayMemory is when each was last seen. The kernel forgets them sooner, so that the table is soon as it was.
type strayMemory map[stray]time.Time

// strayFor is how long a note lasts after the last such packet was seen.
const strayFor = time.Minute

// see records what is in the kernel, and forgets what was last seen too long ago.
func (m strayMemory) see(have snapshot, now time.Time) {
	for _, f := range subnet.Families {
		h, _ := have.set(strays(f).name)
		for _, e := range h.elements {
			if n := f.Bits() / 8; len(e) >= n {
				peer, _ := netip.AddrFromSlice([]byte(e[:n]))
				m[stray{peer, text([]byte(e[n:]))}] = now
			}
		}
	}
	maps.DeleteFunc(m, func(_ stray, seen time.Time) bool { return now.Sub(seen) > strayFor })
}

// maxStrayNotes bounds how many peers are named.
const maxStrayNotes = 8

// notes names the peers that strayed.
func (m strayMemory) notes(r Rules) (notes []string) {
	for s := range m {
		if !slices.Contains(r.Peers, s.peer) || slices.Contains(r.PodInterfaces, s.by) || slices.Contains(r.Overlay[:], s.by) {
			continue // it is no peer any more, or a pod forged it
		}
		notes = append(notes, fmt.Sprintf("VXLAN from peer %s arrives by %s, by which this node does not answer it, and is dropped (vxlan_from_a_wrong_interface); "+
			"to answer it there, run: ip route replace %[1]s dev %[2]s (with the gateway there, if it is not on that link); or have the peer send by the interface of the address that it announces", s.peer, s.by))
	}
	slices.Sort(notes)
	if more := len(notes) - maxStrayNotes; more > 0 {
		notes = append(notes[:maxStrayNotes:maxStrayNotes], fmt.Sprintf("VXLAN from %d more peers arrives by a wrong interface", more))
	}
	return notes
}
