package eval

import (
	"encoding/binary"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/nft"
	"github.com/podlane/podlane/subnet"
)

var nfprotos = [...]byte{subnet.IPv4: unix.NFPROTO_IPV4, subnet.IPv6: unix.NFPROTO_IPV6}

// meta loads what the kernel knows about a packet. Values that a rule writes (a mark, a priority) are ignored: marks are
// always unknown.
func (m *machine) meta(e nft.Attrs) {
	if _, writes := e.Find(unix.NFTA_META_SREG); writes {
		return
	}
	register := e.Number(unix.NFTA_META_DREG)
	in, out := m.interfacesAt(m.hook)
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
		m.store(register, knownBits(binary.BigEndian.AppendUint16(nil, m.ethertype)))
	case expr.MetaKeyNFPROTO:
		if m.family == nftables.TableFamilyBridge || m.family == nftables.TableFamilyNetdev {
			m.store(register, knownBits([]byte{byte(m.family)}))
			return
		}
		m.store(register, knownBits([]byte{nfprotos[m.Family]}))
	case expr.MetaKeyL4PROTO:
		if m.Protocol == 0 {
			m.store(register, unknownBits(1))
			return
		}
		m.store(register, knownBits([]byte{m.Protocol}))
	case expr.MetaKeyPRANDOM, expr.MetaKeyCGROUP, expr.MetaKeySKUID, expr.MetaKeySKGID:
		m.store(register, unsupportedBits(4))
	default: // a mark, a length, a time, a type of interface
		m.store(register, unknownBits(16))
	}
}

func (i Interface) nameBits() bits {
	if i.Name == "" && !i.none {
		return unknownBits(unix.IFNAMSIZ)
	}
	return paddedName(i.Name)
}

func (i Interface) indexBits() bits {
	if i.Index == 0 && !i.none {
		return unknownBits(4)
	}
	return knownBits(binary.NativeEndian.AppendUint32(nil, i.Index))
}

// bridgeName returns the bridge of the interface of one side, except at hooks that have no such side.
func (m *machine) bridgeName(without ...nftables.ChainHook) bits {
	if slices.Contains(without, m.hook) {
		return paddedName("")
	}
	return paddedName(m.Bridge)
}

// paddedName returns the name of an interface, with zeros up to the length that the kernel loads.
func paddedName(name string) bits {
	var b [unix.IFNAMSIZ]byte
	copy(b[:], name)
	return knownBits(b[:])
}

// payload loads bytes of the packet's headers.
func (m *machine) payload(e nft.Attrs) {
	if _, writes := e.Find(unix.NFTA_PAYLOAD_SREG); writes {
		return
	}
	register := e.Number(unix.NFTA_PAYLOAD_DREG)
	from, n := int(e.Number(unix.NFTA_PAYLOAD_OFFSET)), int(e.Number(unix.NFTA_PAYLOAD_LEN))
	switch expr.PayloadBase(e.Number(unix.NFTA_PAYLOAD_BASE)) {
	case expr.PayloadBaseLLHeader:
		link := unknownBits(14)
		binary.BigEndian.PutUint16(link.value[12:], m.ethertype)
		link.known[12], link.known[13] = 0xff, 0xff
		m.store(register, link.part(from, n))
	case expr.PayloadBaseNetworkHeader:
		m.store(register, m.part(m.network, from, n))
	case expr.PayloadBaseTransportHeader:
		m.store(register, m.part(m.transport, from, n))
	default:
		m.store(register, unsupportedBits(n))
	}
}

// ct loads what connection tracking knows. A packet without a connection has only a state. A rule that reads anything else does
// not match it.
func (m *machine) ct(e nft.Attrs) match {
	if _, writes := e.Find(unix.NFTA_CT_SREG); writes {
		return always
	}
	register, key := e.Number(unix.NFTA_CT_DREG), expr.CtKey(e.Number(unix.NFTA_CT_KEY))
	state, known := m.stateAt(m.hookPoint)
	switch {
	case !known:
		m.store(register, unknownBits(16))
	case key == expr.CtKeySTATE:
		m.store(register, knownBits(binary.NativeEndian.AppendUint32(nil, uint32(state))))
	case state == Untracked || state == Invalid:
		return never
	case key == expr.CtKeySTATUS:
		const translated = 1<<4 | 1<<5 // IPS_SRC_NAT, IPS_DST_NAT: pods reach each other without NAT
		m.store(register, bits{value: make([]byte, 4), known: binary.NativeEndian.AppendUint32(nil, translated)})
	default:
		m.store(register, unknownBits(16))
	}
	return always
}

// fib loads the type of the destination. A result for the source depends on the routes: it is unknown.
func (m *machine) fib(e nft.Attrs) {
	const destinationOnly = unix.NFTA_FIB_F_DADDR
	register, flags := e.Number(unix.NFTA_FIB_DREG), e.Number(unix.NFTA_FIB_FLAGS)
	if e.Number(unix.NFTA_FIB_RESULT) != unix.NFT_FIB_RESULT_ADDRTYPE || flags != destinationOnly || m.Traffic == Bridged {
		m.store(register, unknownBits(4))
		return
	}
	m.store(register, knownBits(binary.NativeEndian.AppendUint32(nil, m.destinationType())))
}

// byteorder converts numbers between the host's byte order and the network's. nft writes it for one byte too, which does not
// change.
func (m *machine) byteorder(e nft.Attrs) {
	from, to := e.Number(unix.NFTA_BYTEORDER_SREG), e.Number(unix.NFTA_BYTEORDER_DREG)
	n, size := int(e.Number(unix.NFTA_BYTEORDER_LEN)), int(e.Number(unix.NFTA_BYTEORDER_SIZE))
	if size == 0 || n%size != 0 && from != to {
		m.invalidate()
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
