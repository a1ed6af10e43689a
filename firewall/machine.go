package firewall

import (
	"bytes"
	"encoding/binary"

	"github.com/google/nftables"
	"github.com/podlane/podlane/nft"
	"golang.org/x/sys/unix"
)

// place is the base chain that a packet is evaluated for.
type place struct {
	family   nftables.TableFamily
	hook     nftables.ChainHook
	priority nftables.ChainPriority
}

// tableReader reads parts of one table.
type tableReader interface {
	// keyLength returns the length of a set's keys in bytes.
	keyLength(set string) (int, error)
	// element looks up a key in a set. data is the map's value, as the kernel returned it.
	element(set string, key []byte) (data nft.Attrs, found bool, err error)
}

// machine evaluates the expressions of one rule, as the kernel does: they load parts of the packet into registers and
// compare these. It never guesses: a value that it cannot evaluate is unsupported.
type machine struct {
	packet
	place
	sets        tableReader
	registers   [64]byte
	known       [64]byte
	unsupported [16]bool // by register of 4 bytes
	blank       [16]bool // by register of 4 bytes, as in bits
	effect
}

// effectOf returns what a rule does with the packets.
func effectOf(r nft.KernelRule, p packet, at place, sets tableReader, name string) effect {
	m := machine{packet: p, place: at, sets: sets, effect: effect{match: always, rule: name, bare: true}}
	for _, raw := range r.Exprs {
		kind, data := raw.Expr()
		if m.match = m.match.and(m.run(kind, data)); m.match == never {
			break
		}
		m.bare = m.bare && (withoutCondition[kind] || kind == "match" && data.Text(unix.NFTA_MATCH_NAME) == "comment")
	}
	return m.effect
}

// withoutCondition holds the expressions that match everything.
var withoutCondition = map[string]bool{
	"counter": true, "log": true, "immediate": true, "reject": true, "target": true, "notrack": true, "last": true, "flow_offload": true,
}

// run evaluates one expression. It records verdicts in the effect.
func (m *machine) run(kind string, e nft.Attrs) match {
	switch kind {
	case "meta":
		m.meta(e)
	case "payload":
		m.payload(e)
	case "ct":
		return m.ct(e)
	case "fib":
		m.fib(e)
	case "bitwise":
		m.bitwise(e)
	case "byteorder":
		m.byteorder(e)
	case "cmp":
		value := e.Data(unix.NFTA_CMP_DATA).Data(unix.NFTA_DATA_VALUE)
		return m.load(e.Number(unix.NFTA_CMP_SREG), len(value)).compare(e.Number(unix.NFTA_CMP_OP), value)
	case "range":
		return m.inRange(e)
	case "lookup":
		return m.lookup(e)
	case "immediate":
		return m.immediate(e)
	case "reject":
		m.does = dropIt
	case "queue", "synproxy", "tproxy", "fwd":
		m.does = unclear
	case "match":
		return m.xtMatch(e)
	case "target":
		m.xtTarget(e)
	case "counter", "log", "notrack", "last", "flow_offload", "dup":
	default: // limit, quota, a dynamic set, and expressions that load a register: socket, hash, numgen, exthdr and others
		m.forget()
		return unsupported
	}
	return always
}

// forget marks all registers as unsupported, after an unsupported expression that may have loaded them.
func (m *machine) forget() {
	m.known = [len(m.known)]byte{}
	for i := range m.unsupported {
		m.unsupported[i] = true
	}
}

// slot returns the offset of a register: 1 to 4 have 16 bytes, 8 to 23 have 4.
func slot(register uint32) (offset int, ok bool) {
	switch {
	case register >= unix.NFT_REG_1 && register <= unix.NFT_REG_4:
		return int(register-unix.NFT_REG_1) * 16, true
	case register >= unix.NFT_REG32_00 && register <= unix.NFT_REG32_15:
		return int(register-unix.NFT_REG32_00) * 4, true
	}
	return 0, false
}

// load returns n bytes, from the start of a register on.
func (m *machine) load(register uint32, n int) bits {
	from, ok := slot(register)
	if !ok || from+n > len(m.registers) {
		b := unknown(n)
		b.unsupported = true
		return b
	}
	b := bits{value: m.registers[from : from+n], known: m.known[from : from+n]}
	for i := from / 4; i < (from+n+3)/4; i++ {
		b.unsupported, b.blank = b.unsupported || m.unsupported[i], b.blank || m.blank[i]
	}
	return b
}

// store writes bytes to a register, and zeros up to its end, as the kernel does.
func (m *machine) store(register uint32, b bits) {
	from, ok := slot(register)
	end := from + (len(b.value)+3)/4*4
	if !ok || end > len(m.registers) {
		m.forget()
		return
	}
	blank := b.blank || isZero(b.known)
	for i := from; i < end; i++ {
		m.registers[i], m.known[i], m.unsupported[i/4], m.blank[i/4] = 0, 0xff, b.unsupported, blank
	}
	copy(m.registers[from:], b.value)
	copy(m.known[from:], b.known)
}

func (m *machine) inRange(e nft.Attrs) match {
	from := e.Data(unix.NFTA_RANGE_FROM_DATA).Data(unix.NFTA_DATA_VALUE)
	to := e.Data(unix.NFTA_RANGE_TO_DATA).Data(unix.NFTA_DATA_VALUE)
	b := m.load(e.Number(unix.NFTA_RANGE_SREG), len(from))
	low, high := b.fill(0), b.fill(0xff)
	result := b.between(bytes.Compare(low, from) >= 0 && bytes.Compare(high, to) <= 0, bytes.Compare(high, from) < 0 || bytes.Compare(low, to) > 0)
	if e.Number(unix.NFTA_RANGE_OP) == unix.NFT_RANGE_NEQ {
		return result.not()
	}
	return result
}

func (m *machine) immediate(e nft.Attrs) match {
	data := e.Data(unix.NFTA_IMMEDIATE_DATA)
	if verdict, ok := data.Find(unix.NFTA_DATA_VERDICT); ok {
		m.verdict(verdict)
		return always
	}
	value, _ := data.Find(unix.NFTA_DATA_VALUE)
	m.store(e.Number(unix.NFTA_IMMEDIATE_DREG), exactly(value))
	return always
}

// verdict reads a verdict (struct nft_verdict).
func (m *machine) verdict(list nft.Attrs) {
	code := list.Data(unix.NFTA_VERDICT_CODE)
	chain := list.Text(unix.NFTA_VERDICT_CHAIN)
	m.to, m.does = chain, unclear
	if len(code) != 4 {
		return
	}
	switch int32(binary.BigEndian.Uint32(code)) { //nolint:gosec // the kernel's signed number
	case 0: // NF_DROP
		m.does = dropIt
	case 1: // NF_ACCEPT
		m.does = acceptIt
	case unix.NFT_CONTINUE:
		m.does = carryOn
	case unix.NFT_JUMP:
		m.does = jumpTo
	case unix.NFT_GOTO:
		m.does = gotoChain
	case unix.NFT_RETURN:
		m.does = returnBack
	}
}

// bitwise masks and inverts bits. Bits that a mask clears become known. Shifts are unsupported.
func (m *machine) bitwise(e nft.Attrs) {
	n := int(e.Number(unix.NFTA_BITWISE_LEN))
	mask := e.Data(unix.NFTA_BITWISE_MASK).Data(unix.NFTA_DATA_VALUE)
	xor := e.Data(unix.NFTA_BITWISE_XOR).Data(unix.NFTA_DATA_VALUE)
	const op, maskAndXor = 6, 0 // NFTA_BITWISE_OP
	b, out := m.load(e.Number(unix.NFTA_BITWISE_SREG), n), unknown(n)
	out.unsupported = true
	if e.Number(op) == maskAndXor && len(mask) == n && len(xor) == n {
		out.unsupported, out.blank = b.unsupported, b.blank
		for i := range n {
			out.value[i], out.known[i] = b.value[i]&mask[i]^xor[i], b.known[i]|^mask[i]
		}
	}
	m.store(e.Number(unix.NFTA_BITWISE_DREG), out)
}

// lookup finds a register's bytes in a set or a map. Bits that are not known are tried in three patterns. These tell enough of
// a range of addresses, but not that a set has none of all ports.
func (m *machine) lookup(e nft.Attrs) match {
	set := e.Text(unix.NFTA_LOOKUP_SET)
	n, err := m.sets.keyLength(set)
	if err != nil {
		m.forget()
		m.does = unclear
		return unsupported
	}
	key := m.load(e.Number(unix.NFTA_LOOKUP_SREG), n)
	var results [3]bool
	var datas [3]nft.Attrs
	for i, pattern := range []byte{0x00, 0x55, 0xff} {
		if datas[i], results[i], err = m.sets.element(set, key.fill(pattern)); err != nil {
			m.forget()
			m.does = unclear
			return unsupported
		}
	}
	found := when(results[0])
	if results[0] != results[1] || results[0] != results[2] || key.unsupported || key.blank && !results[0] {
		found = key.open()
	}
	if e.Number(unix.NFTA_LOOKUP_FLAGS)&unix.NFT_LOOKUP_F_INV != 0 {
		found = found.not()
	}
	if _, isMap := e.Find(unix.NFTA_LOOKUP_DREG); isMap {
		m.mapped(e.Number(unix.NFTA_LOOKUP_DREG), found, datas)
	}
	return found
}

// mapped applies the map's value for a key: a verdict, or the bytes of a register.
func (m *machine) mapped(register uint32, found match, datas [3]nft.Attrs) {
	same := bytes.Equal(datas[0], datas[1]) && bytes.Equal(datas[0], datas[2])
	verdict, isVerdict := datas[0].Find(unix.NFTA_DATA_VERDICT)
	value, isValue := datas[0].Find(unix.NFTA_DATA_VALUE)
	switch {
	case found == always && same && isVerdict:
		m.verdict(verdict)
	case found == always && same && isValue:
		m.store(register, exactly(value))
	case register == unix.NFT_REG_VERDICT && found != never:
		m.does = unclear
	default:
		m.forget()
	}
}
