package eval

import (
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/nft"
)

// iptables-nft cannot express some conditions and targets in nftables' own expressions. It writes these as matches and targets
// of xtables, in the structures of linux/netfilter/xt_*.h.

// continueTargets holds the targets after which the next rule decides.
var continueTargets = []string{
	"AUDIT", "CHECKSUM", "CLASSIFY", "CONNMARK", "CONNSECMARK", "CT", "DSCP", "ECN", "HL", "LED", "LOG", "MARK", "NFLOG", "NOTRACK",
	"RATEEST", "SECMARK", "SET", "TCPMSS", "TCPOPTSTRIP", "TEE", "TOS", "TRACE", "TTL", "ULOG",
}

func (m *machine) xtTarget(e nft.Attrs) {
	m.action = targetAction(e.Text(unix.NFTA_TARGET_NAME))
}

// targetAction returns the action of an xtables target that is not a chain.
func targetAction(name string) action {
	switch {
	case name == "REJECT" || name == "DROP":
		return dropAction
	case name == "ACCEPT":
		return acceptAction
	case name == "RETURN":
		return returnAction
	case slices.Contains(continueTargets, name):
		return continueAction
	}
	return unknownAction
}

func (m *machine) xtMatch(e nft.Attrs) match {
	info := e.Data(unix.NFTA_MATCH_INFO)
	state, known := m.stateAt(m.hookPoint)
	switch name, revision := e.Text(unix.NFTA_MATCH_NAME), e.Number(unix.NFTA_MATCH_REV); {
	case name == "comment":
		return always
	case name == "mark" || name == "connmark":
		return some
	case name == "conntrack" && revision >= 2 && len(info) >= 154 && known:
		return xtConntrack(info, state)
	case name == "state" && len(info) >= 4 && known:
		return matchIf(binary.NativeEndian.Uint32(info)&xtState(state, xtStateUntracked) != 0)
	case name == "addrtype" && revision == 1 && len(info) >= 8:
		return m.xtAddrType(info)
	case (name == "udp" || name == "tcp") && len(info) >= 12:
		return m.xtPorts(name, info)
	case name == "multiport" && revision == 1 && len(info) >= 48:
		return m.xtMultiport(info)
	}
	return unsupported
}

// The bit of the untracked state differs between the two matches.
const (
	xtStateUntracked     = 1 << 6
	xtConntrackUntracked = 1 << 8
)

// xtState returns a state in the bits of xtables. They equal nft's, except for the untracked one.
func xtState(s State, untracked uint32) uint32 {
	if s == Untracked {
		return untracked
	}
	return uint32(s)
}

// xtConntrack evaluates struct xt_conntrack_mtinfo2 and 3. It supports only the state.
func xtConntrack(info []byte, s State) match {
	const onlyState = 1
	flags, inverted := binary.NativeEndian.Uint16(info[146:]), binary.NativeEndian.Uint16(info[148:])
	const alias = 1 << 13 // written as "-m state"
	if flags&^alias != onlyState {
		return unsupported
	}
	mask := uint32(binary.NativeEndian.Uint16(info[150:]))
	return matchIf((mask&xtState(s, xtConntrackUntracked) != 0) != (inverted&onlyState != 0))
}

// xtPorts evaluates struct xt_udp and struct xt_tcp: two ranges of ports, each possibly inverted. TCP's flags and options
// match some packets.
func (m *machine) xtPorts(name string, info []byte) match {
	number := func(at int) uint16 { return binary.NativeEndian.Uint16(info[at:]) }
	result, inverted := m.protocolIs(unix.IPPROTO_UDP), info[8]
	if name == "tcp" {
		result, inverted = m.protocolIs(unix.IPPROTO_TCP), info[11]
		if !isZero(info[8:11]) {
			result = result.and(some)
		}
	}
	for i, s := range []side{source, destination} {
		port := m.portIn(s, portRange{number(i * 4), number(i*4 + 2)})
		if inverted&(1<<i) != 0 {
			port = port.not()
		}
		result = result.and(port)
	}
	return result
}

// xtMultiport evaluates struct xt_multiport_v1.
func (m *machine) xtMultiport(info []byte) match {
	var ranges []portRange
	for i := 0; i < min(int(info[1]), 15); i++ {
		number := func(i int) uint16 { return binary.NativeEndian.Uint16(info[2+2*i:]) }
		r := portRange{number(i), number(i)}
		if isRange := info[32+i] != 0; isRange && i < 14 {
			i++
			r.high = number(i)
		}
		ranges = append(ranges, r)
	}
	result := unsupported
	switch info[0] {
	case 0:
		result = m.portInAny(source, ranges)
	case 1:
		result = m.portInAny(destination, ranges)
	}
	if info[47] != 0 {
		return result.not()
	}
	return result
}

// xtAddrType evaluates struct xt_addrtype_info_v1: types of addresses. Only the destination's type is known.
func (m *machine) xtAddrType(info []byte) match {
	const invertDestination = 2
	sourceTypes, types := binary.NativeEndian.Uint16(info), binary.NativeEndian.Uint16(info[2:])
	flags := binary.NativeEndian.Uint32(info[4:])
	switch {
	case sourceTypes != 0 || flags&^invertDestination != 0 || m.Traffic == Bridged:
		return some
	case types == 0:
		return always
	}
	return matchIf((types&(1<<m.destinationType()) != 0) != (flags&invertDestination != 0))
}
