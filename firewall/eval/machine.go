package eval

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/nft"
)

// machine evaluates the expressions of one rule like the kernel's virtual machine. Expressions load parts of the packet into
// registers and compare them. It never guesses: a value that it cannot evaluate is unsupported.
type machine struct {
	packet
	hookPoint
	sets Sets
	registers
	effect
}

// effectOf returns what a rule does with the packets.
func effectOf(r nft.KernelRule, p packet, at hookPoint, sets Sets) effect {
	m := machine{packet: p, hookPoint: at, sets: sets, effect: effect{match: always, unconditional: true}}
	for _, x := range r.Exprs {
		name, e := x.Expr()
		if m.match = m.match.and(m.run(name, e)); m.match == never {
			break
		}
		m.unconditional = m.unconditional && (withoutCondition[name] || name == "match" && e.Text(unix.NFTA_MATCH_NAME) == "comment")
	}
	if m.match != never {
		m.rule = fmt.Sprintf("rule handle %d of chain %s", r.Handle, r.Chain)
	}
	return m.effect
}

// withoutCondition holds the expressions that match everything.
var withoutCondition = map[string]bool{
	"counter": true, "log": true, "immediate": true, "reject": true, "target": true, "notrack": true, "last": true, "flow_offload": true,
}

// run evaluates one expression. It records verdicts in the effect.
func (m *machine) run(name string, e nft.Attrs) match {
	switch name {
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
		m.action = dropAction
	case "queue", "synproxy", "tproxy", "fwd":
		m.action = unknownAction
	case "match":
		return m.xtMatch(e)
	case "target":
		m.xtTarget(e)
	case "counter", "log", "notrack", "last", "flow_offload", "dup":
	default: // limit, quota, a dynamic set, and expressions that load a register: socket, hash, numgen, exthdr and others
		m.invalidate()
		return unsupported
	}
	return always
}

func (m *machine) inRange(e nft.Attrs) match {
	from := e.Data(unix.NFTA_RANGE_FROM_DATA).Data(unix.NFTA_DATA_VALUE)
	to := e.Data(unix.NFTA_RANGE_TO_DATA).Data(unix.NFTA_DATA_VALUE)
	b := m.load(e.Number(unix.NFTA_RANGE_SREG), len(from))
	low, high := b.fill(0), b.fill(0xff)
	inside := bytes.Compare(low, from) >= 0 && bytes.Compare(high, to) <= 0
	outside := bytes.Compare(high, from) < 0 || bytes.Compare(low, to) > 0
	if e.Number(unix.NFTA_RANGE_OP) == unix.NFT_RANGE_NEQ {
		return b.decide(inside, outside).not()
	}
	return b.decide(inside, outside)
}

func (m *machine) immediate(e nft.Attrs) match {
	data := e.Data(unix.NFTA_IMMEDIATE_DATA)
	if verdict, ok := data.Find(unix.NFTA_DATA_VERDICT); ok {
		m.verdict(verdict)
		return always
	}
	m.store(e.Number(unix.NFTA_IMMEDIATE_DREG), knownBits(data.Data(unix.NFTA_DATA_VALUE)))
	return always
}

// verdict reads a verdict (struct nft_verdict).
func (m *machine) verdict(v nft.Attrs) {
	code := v.Data(unix.NFTA_VERDICT_CODE)
	m.to, m.action = v.Text(unix.NFTA_VERDICT_CHAIN), unknownAction
	if len(code) != 4 {
		return
	}
	switch int32(binary.BigEndian.Uint32(code)) { //nolint:gosec // the kernel's signed number
	case 0: // NF_DROP
		m.action = dropAction
	case 1: // NF_ACCEPT
		m.action = acceptAction
	case unix.NFT_CONTINUE:
		m.action = continueAction
	case unix.NFT_JUMP:
		m.action = jumpAction
	case unix.NFT_GOTO:
		m.action = gotoAction
	case unix.NFT_RETURN:
		m.action = returnAction
	}
}

// bitwise masks and inverts bits. Bits that a mask clears become known. Shifts are unsupported.
func (m *machine) bitwise(e nft.Attrs) {
	n := int(e.Number(unix.NFTA_BITWISE_LEN))
	mask := e.Data(unix.NFTA_BITWISE_MASK).Data(unix.NFTA_DATA_VALUE)
	xor := e.Data(unix.NFTA_BITWISE_XOR).Data(unix.NFTA_DATA_VALUE)
	const op, maskAndXor = 6, 0 // NFTA_BITWISE_OP
	b, out := m.load(e.Number(unix.NFTA_BITWISE_SREG), n), unsupportedBits(n)
	if e.Number(op) == maskAndXor && len(mask) == n && len(xor) == n {
		out.unsupported, out.hasBlank = b.unsupported, b.hasBlank
		for i := range n {
			out.value[i], out.known[i] = b.value[i]&mask[i]^xor[i], b.known[i]|^mask[i]
		}
	}
	m.store(e.Number(unix.NFTA_BITWISE_DREG), out)
}

// found is the result of a lookup. A map has a value for each pattern of the key's unknown bits.
type found struct {
	match  match
	values [3]nft.Attrs
}

// lookup finds a register's bytes in a set or a map.
func (m *machine) lookup(e nft.Attrs) match {
	f, err := m.find(e.Text(unix.NFTA_LOOKUP_SET), e.Number(unix.NFTA_LOOKUP_SREG))
	if err != nil {
		m.invalidate()
		m.action = unknownAction
		return unsupported
	}
	if e.Number(unix.NFTA_LOOKUP_FLAGS)&unix.NFT_LOOKUP_F_INV != 0 {
		f.match = f.match.not()
	}
	if _, isMap := e.Find(unix.NFTA_LOOKUP_DREG); isMap {
		m.applyValue(e.Number(unix.NFTA_LOOKUP_DREG), f)
	}
	return f.match
}

// find looks up a register's bytes in a set. It tries three patterns for the unknown bits. For the addresses of a prefix that is
// enough. But it does not prove that a set contains no port at all. So a miss with a blank field is undecided.
func (m *machine) find(set string, register uint32) (f found, err error) {
	n, err := m.sets.KeyLength(set)
	if err != nil {
		return f, err
	}
	key := m.load(register, n)
	var results [len(f.values)]bool
	for i, pattern := range []byte{0x00, 0x55, 0xff} {
		if f.values[i], results[i], err = m.sets.Element(set, key.fill(pattern)); err != nil {
			return f, err
		}
	}
	f.match = matchIf(results[0])
	if results[0] != results[1] || results[0] != results[2] || key.unsupported || key.hasBlank && !results[0] {
		f.match = key.undecided()
	}
	return f, nil
}

// applyValue applies a map's value: a verdict, or bytes for a register.
func (m *machine) applyValue(register uint32, f found) {
	first := f.values[0]
	same := bytes.Equal(first, f.values[1]) && bytes.Equal(first, f.values[2])
	verdict, isVerdict := first.Find(unix.NFTA_DATA_VERDICT)
	value, isValue := first.Find(unix.NFTA_DATA_VALUE)
	switch {
	case f.match == always && same && isVerdict:
		m.verdict(verdict)
	case f.match == always && same && isValue:
		m.store(register, knownBits(value))
	case register == unix.NFT_REG_VERDICT && f.match != never:
		m.action = unknownAction
	default:
		m.invalidate()
	}
}
