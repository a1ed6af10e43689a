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

	"github.com/podlane/podlane/nft"
	"github.com/podlane/podlane/subnet"
)

// wrongInterfaceSet returns the set of the peers whose VXLAN arrived on a wrong interface, each with that interface. Only
// packets with a peer's address are recorded. So other hosts cannot fill the set.
func wrongInterfaceSet(f subnet.Family) nft.Set {
	return [...]nft.Set{
		subnet.IPv4: {Name: "vxlan_wrong_iface4", KeyType: nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeIFName), Dynamic: wrongInterfaceBounds},
		subnet.IPv6: {Name: "vxlan_wrong_iface6", KeyType: nftables.MustConcatSetType(nftables.TypeIP6Addr, nftables.TypeIFName), Dynamic: wrongInterfaceBounds},
	}[f]
}

// recordArrival adds a packet's source and interface to wrongInterfaceSet. The key is in consecutive registers.
func recordArrival(f subnet.Family) part {
	afterAddress := [...]uint32{subnet.IPv4: unix.NFT_REG32_01, subnet.IPv6: unix.NFT_REG_2}[f]
	into := wrongInterfaceSet(f).Name
	return part{"update @" + into + " { " + addressText(source, f) + ". iifname }", []expr.Any{
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: source.offset(f), Len: uint32(f.Bits() / 8)}, //nolint:gosec // 4 or 16
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: afterAddress},
		&expr.Dynset{SrcRegKey: register, SetName: into, Operation: unix.NFT_DYNSET_OP_UPDATE},
	}}
}

// wrongArrival is a peer and the wrong interface on which its VXLAN arrives.
type wrongArrival struct {
	peer          netip.Addr
	interfaceName string
}

// wrongArrivals holds, for each arrival, the time at which it was last read from the kernel. Notes need it longer than the
// kernel's elements, which expire after wrongArrivalTimeout.
type wrongArrivals map[wrongArrival]time.Time

// wrongArrivalNoteFor is how long a note is shown after the last such packet.
const wrongArrivalNoteFor = time.Minute

// record adds the kernel's elements, and removes those that were last read too long ago.
func (m wrongArrivals) record(have snapshot, now time.Time) {
	for _, f := range subnet.Families {
		h, _ := have.own.Set(wrongInterfaceSet(f).Name)
		for _, e := range h.Elements {
			if n := f.Bits() / 8; len(e.Key) >= n {
				peer, _ := netip.AddrFromSlice([]byte(e.Key[:n]))
				m[wrongArrival{peer, unix.ByteSliceToString([]byte(e.Key[n:]))}] = now
			}
		}
	}
	maps.DeleteFunc(m, func(_ wrongArrival, last time.Time) bool { return now.Sub(last) > wrongArrivalNoteFor })
}

// maxWrongArrivalNotes bounds how many peers are named.
const maxWrongArrivalNotes = 8

// notes returns a note for each such peer.
func (m wrongArrivals) notes(r Rules) (notes []string) {
	for a := range m {
		if !slices.Contains(r.Peers, a.peer) || slices.Contains(r.PodInterfaces, a.interfaceName) || r.isOverlay(a.interfaceName) {
			continue // the address is not a peer's any more, or a pod forged the packet
		}
		notes = append(notes, fmt.Sprintf("VXLAN from peer %s arrives on %s, but this node answers that peer on another interface: it is dropped (vxlan_from_a_wrong_interface); "+
			"to answer it there, run: ip route replace %[1]s dev %[2]s (add the gateway if the peer is not on that link); or make the peer send from the interface whose address it announces", a.peer, a.interfaceName))
	}
	slices.Sort(notes)
	if more := len(notes) - maxWrongArrivalNotes; more > 0 {
		notes = append(notes[:maxWrongArrivalNotes:maxWrongArrivalNotes], fmt.Sprintf("VXLAN from %d more peers arrives on a wrong interface", more))
	}
	return notes
}
