package firewall

import (
	"encoding/binary"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/podlane/podlane/nft"
	"golang.org/x/sys/unix"
)

// meta loads what the kernel knows about a packet. Values that a rule writes (a mark, a priority) are ignored: marks are
// always unknown.
func (m *machine) meta(e nft.Attrs) {
	if _, writes := e.Find(unix.NFTA_META_SREG); writes {
		return
	}
	register := e.Number(unix.NFTA_META_DREG)
	in, out := m.devices()
	switch expr.MetaKey(e.Number(unix.NFTA_META_KEY)) {
	case expr.MetaKeyIIFNAME:
		m.store(register, in.nameBits())
	case expr.MetaKeyOIFNAME:
		m.store(register, out.nameBits())
	case expr.MetaKeyIIF:
		m.store(register, in.indexBits())
	case expr.MetaKeyOIF:
		m.store(register, out.indexBits())
	case expr.MetaKeyBRIIIFNAME:
		m.store(register, m.bridgeName(*nftables.ChainHookOutput, *nftables.ChainHookPostrouting))
	case expr.MetaKeyBRIOIFNAME:
		m.store(register, m.bridgeName(*nftables.ChainHookPrerouting, *nftables.ChainHookInput))
	case expr.MetaKeyPROTOCOL:
		m.store(register, exactly(binary.BigEndian.AppendUint16(nil, m.ethertype)))
	case expr.MetaKeyNFPROTO:
		if m.place.family == nftables.TableFamilyBridge || m.place.family == nftables.TableFamilyNetdev {
			m.store(register, exactly([]byte{byte(m.place.family)}))
			return
		}
		m.store(register, exactly([]byte{nfprotos[m.packet.family]}))
	case expr.MetaKeyL4PROTO:
		if m.proto == 0 {
			m.store(register, unknown(1))
			return
		}
		m.store(register, exactly([]byte{m.proto}))
	case expr.MetaKeyPRANDOM, expr.MetaKeyCGROUP, expr.MetaKeySKUID, expr.MetaKeySKGID:
		b := unknown(4)
		b.unsupported = true
		m.store(register, b)
	default: // a mark, a length, a time, a type of interface
		m.store(register, unknown(16))
	}
}

// devices returns the interfaces of a packet at this hook.
func (m *machine) devices() (in, out device) {
	in, out = m.in, m.out
	switch m.hook {
	case *nftables.ChainHookPrerouting, *nftables.ChainHookInput, inetIngress:
		out = device{none: true}
	case *nftables.ChainHookOutput:
		in = device{none: true}
	case *nftables.ChainHookPostrouting: // kernels differ in what they show
		in = device{}
	}
	return in, out
}

func (d device) nameBits() bits {
	if d.name == "" && !d.none {
		return unknown(unix.IFNAMSIZ)
	}
	return exactly([]byte(nft.InterfaceElement(d.name).Key))
}

func (d device) indexBits() bits {
	if d.index == 0 && !d.none {
		return unknown(4)
	}
	return exactly(binary.NativeEndian.AppendUint32(nil, d.index))
}

// bridgeName returns the bridge of the interface of one side, except at hooks that have no such side.
func (m *machine) bridgeName(without ...nftables.ChainHook) bits {
	if slices.Contains(without, m.hook) {
		return exactly([]byte(nft.InterfaceElement("").Key))
	}
	return exactly([]byte(nft.InterfaceElement(m.bridge).Key))
}

// payload loads bytes of the packet's headers.
func (m *machine) payload(e nft.Attrs) {
	register, writes := e.Number(unix.NFTA_PAYLOAD_DREG), false
	if _, writes = e.Find(unix.NFTA_PAYLOAD_SREG); writes {
		return
	}
	from, n := int(e.Number(unix.NFTA_PAYLOAD_OFFSET)), int(e.Number(unix.NFTA_PAYLOAD_LEN))
	switch expr.PayloadBase(e.Number(unix.NFTA_PAYLOAD_BASE)) {
	case expr.PayloadBaseLLHeader:
		link := unknown(14)
		binary.BigEndian.PutUint16(link.value[12:], m.ethertype)
		link.known[12], link.known[13] = 0xff, 0xff
		m.store(register, link.cut(from, n))
	case expr.PayloadBaseNetworkHeader:
		m.store(register, m.part(m.network, from, n))
	case expr.PayloadBaseTransportHeader:
		m.store(register, m.part(m.transport, from, n))
	default:
		b := unknown(n)
		b.unsupported = true
		m.store(register, b)
	}
}

// ct loads what connection tracking knows. A packet without a connection has only a state: a rule that reads anything else
// does not match.
func (m *machine) ct(e nft.Attrs) match {
	if _, writes := e.Find(unix.NFTA_CT_SREG); writes {
		return always
	}
	register, key := e.Number(unix.NFTA_CT_DREG), expr.CtKey(e.Number(unix.NFTA_CT_KEY))
	state, known := m.stateAt(m.hook, m.priority)
	switch {
	case !known:
		m.store(register, unknown(16))
	case key == expr.CtKeySTATE:
		m.store(register, exactly(binary.NativeEndian.AppendUint32(nil, state)))
	case state == stateUntracked || state == stateInvalid:
		return never
	case key == expr.CtKeySTATUS:
		const translated = 1<<4 | 1<<5 // IPS_SRC_NAT, IPS_DST_NAT: pods reach each other without NAT
		m.store(register, bits{value: make([]byte, 4), known: binary.NativeEndian.AppendUint32(nil, translated)})
	default:
		m.store(register, unknown(16))
	}
	return always
}

// fib loads the type of the destination. The result for the source depends on the routes: it is unsupported.
func (m *machine) fib(e nft.Attrs) {
	const destinationOnly = unix.NFTA_FIB_F_DADDR
	register, flags := e.Number(unix.NFTA_FIB_DREG), e.Number(unix.NFTA_FIB_FLAGS)
	if e.Number(unix.NFTA_FIB_RESULT) != unix.NFT_FIB_RESULT_ADDRTYPE || flags != destinationOnly || m.traffic == bridged {
		m.store(register, unknown(4))
		return
	}
	m.store(register, exactly(binary.NativeEndian.AppendUint32(nil, uint32(m.kindOfDestination()))))
}

// kindOfDestination returns the destination's type by the node's routes.
func (p packet) kindOfDestination() addrType {
	if p.local {
		return local
	}
	return unix.RTN_UNICAST
}

// byteorder turns numbers of some bytes from the host's order into the network's, or back. nft writes it for one byte too,
// which stays.
func (m *machine) byteorder(e nft.Attrs) {
	from, to := e.Number(unix.NFTA_BYTEORDER_SREG), e.Number(unix.NFTA_BYTEORDER_DREG)
	n, size := int(e.Number(unix.NFTA_BYTEORDER_LEN)), int(e.Number(unix.NFTA_BYTEORDER_SIZE))
	if size == 0 || n%size != 0 && from != to {
		m.forget()
		return
	}
	b := m.load(from, n)
	b.value, b.known = slices.Clone(b.value), slices.Clone(b.known)
	littleEndian := binary.NativeEndian.Uint16([]byte{1, 0}) == 1
	for i := 0; littleEndian && i+size <= n; i += size {
		slices.Reverse(b.value[i : i+size])
		slices.Reverse(b.known[i : i+size])
	}
	m.store(to, b)
}
