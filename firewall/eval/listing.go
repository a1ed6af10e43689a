package eval

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Listing holds the output of `iptables-legacy -S`: the chains of the filter table with their rules.
type Listing struct {
	policies map[string]string
	rules    map[string][]string // by chain, without "-A chain"
}

// ParseListing parses the output of `iptables-legacy -S`.
func ParseListing(output string) Listing {
	l := Listing{map[string]string{}, map[string][]string{}}
	for line := range strings.Lines(output) {
		words := strings.SplitN(strings.TrimSpace(line), " ", 3)
		switch {
		case len(words) < 2:
		case words[0] == "-P" && len(words) > 2:
			l.policies[words[1]], l.rules[words[1]] = words[2], nil
		case words[0] == "-N":
			l.rules[words[1]] = nil
		case words[0] == "-A":
			l.rules[words[1]] = append(l.rules[words[1]], strings.Join(words[2:], " "))
		}
	}
	return l
}

// Rules returns the rules of a chain without "-A chain", in order.
func (l Listing) Rules(chain string) []string { return l.rules[chain] }

// filterChain is a base chain of iptables' filter table.
type filterChain struct {
	name string
	hook nftables.ChainHook
}

// filterChains holds, for each kind of packets, the chain of the filter table that they pass. Bridged frames pass none.
var filterChains = map[Traffic]filterChain{
	Forwarded: {"FORWARD", *nftables.ChainHookForward},
	TunnelIn:  {"INPUT", *nftables.ChainHookInput},
	TunnelOut: {"OUTPUT", *nftables.ChainHookOutput},
}

// FilterChain returns the name of the chain of iptables' filter table that the packets pass; empty if there is none.
func (t Traffic) FilterChain() string { return filterChains[t].name }

// Evaluate evaluates the chain that the packets pass. ok is false if the listing has no such chain.
func (l Listing) Evaluate(p Packet) (o Outcome, ok bool) {
	c := filterChains[p.Traffic]
	policy, ok := l.policies[c.name]
	if !ok {
		return Outcome{}, false
	}
	return l.walker(p, c.hook).base(c.name, policy == "DROP"), true
}

func (l Listing) walker(p Packet, hook nftables.ChainHook) *walker {
	withHeaders, at := newPacket(p), hookPoint{hook: hook, priority: *nftables.ChainPriorityFilter}
	return &walker{effects: func(chain string) (all []effect, ok bool) {
		rules, ok := l.rules[chain]
		for _, text := range rules {
			r := listedRule{machine: machine{packet: withHeaders, hookPoint: at}, words: splitWords(text)}
			r.effect = effect{match: always, rule: "rule -A " + chain + " " + text, unconditional: true}
			r.evaluate(l)
			all = append(all, r.effect)
		}
		return all, ok
	}}
}

// splitWords splits a rule at its spaces. A word in double quotes may contain spaces, and quotes after a backslash.
func splitWords(s string) (words []string) {
	var word strings.Builder
	quoted, begun := false, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted && i+1 < len(s):
			i++
			word.WriteByte(s[i])
		case c == '"':
			quoted, begun = !quoted, true
		case c == ' ' && !quoted:
			if begun {
				words = append(words, word.String())
				word.Reset()
			}
			begun = false
		default:
			word.WriteByte(c)
			begun = true
		}
	}
	if begun {
		words = append(words, word.String())
	}
	return words
}

// listedRule is one rule of a listing. It is evaluated word by word.
type listedRule struct {
	machine
	words []string // not read yet
}

func (r *listedRule) next() string {
	if len(r.words) == 0 {
		return ""
	}
	w := r.words[0]
	r.words = r.words[1:]
	return w
}

// evaluate evaluates the conditions before the target. The target's own options do not matter.
func (r *listedRule) evaluate(l Listing) {
	for len(r.words) > 0 {
		option := r.next()
		inverted := option == "!"
		if inverted {
			option = r.next()
		}
		switch option {
		case "-j", "-g":
			r.target(option, r.next(), l)
			return
		case "-m", "--comment":
			r.next()
			continue
		}
		m := r.condition(option)
		if inverted {
			m = m.not()
		}
		r.match, r.unconditional = r.match.and(m), false
	}
}

func (r *listedRule) target(option, name string, l Listing) {
	if _, isChain := l.rules[name]; !isChain {
		r.action = targetAction(name)
		return
	}
	r.action, r.to = jumpAction, name
	if option == "-g" {
		r.action = gotoAction
	}
}

// condition evaluates an option with its value. An unsupported option may have any number of values.
func (r *listedRule) condition(option string) match {
	in, out := r.interfacesAt(r.hook)
	switch option {
	case "-s":
		return r.addressMatches(source, r.next())
	case "-d":
		return r.addressMatches(destination, r.next())
	case "-i":
		return in.nameMatches(r.next())
	case "-o":
		return out.nameMatches(r.next())
	case "-p":
		return r.protocolMatches(r.next())
	case "-f":
		return never
	case "--sport", "--sports":
		return r.portMatches(source, r.next())
	case "--dport", "--dports":
		return r.portMatches(destination, r.next())
	case "--ctstate", "--state":
		return r.stateMatches(r.next())
	case "--dst-type":
		return matchIf(slices.Contains(strings.Split(r.next(), ","), map[bool]string{true: "LOCAL", false: "UNICAST"}[r.Local]))
	case "--mark", "--tcp-option":
		r.next()
		return some
	case "--tcp-flags":
		r.next()
		r.next()
		return some
	}
	for len(r.words) > 0 && !strings.HasPrefix(r.words[0], "-") && r.words[0] != "!" {
		r.next()
	}
	return unsupported
}

func (r *listedRule) addressMatches(s side, prefix string) match {
	p, err := netip.ParsePrefix(prefix)
	if err != nil {
		return unsupported
	}
	return r.addressIn(s, p)
}

var protocols = map[string]byte{
	"all": 0, "tcp": unix.IPPROTO_TCP, "udp": unix.IPPROTO_UDP, "icmp": unix.IPPROTO_ICMP, "ipv6-icmp": unix.IPPROTO_ICMPV6,
	"sctp": unix.IPPROTO_SCTP, "esp": unix.IPPROTO_ESP, "ah": unix.IPPROTO_AH, "gre": unix.IPPROTO_GRE,
}

func (r *listedRule) protocolMatches(name string) match {
	if protocol, ok := protocols[name]; ok {
		return r.protocolIs(protocol)
	}
	n, err := strconv.ParseUint(name, 10, 8)
	if err != nil {
		return unsupported
	}
	return r.protocolIs(byte(n))
}

// portMatches supports "53", "53:60" and "53,8472".
func (r *listedRule) portMatches(s side, list string) match {
	var ranges []portRange
	for part := range strings.SplitSeq(list, ",") {
		low, high, isRange := strings.Cut(part, ":")
		if !isRange {
			high = low
		}
		from, errLow := strconv.ParseUint(low, 10, 16)
		to, errHigh := strconv.ParseUint(high, 10, 16)
		if errLow != nil || errHigh != nil {
			return unsupported
		}
		ranges = append(ranges, portRange{uint16(from), uint16(to)})
	}
	return r.portInAny(s, ranges)
}

func (r *listedRule) stateMatches(list string) match {
	words := map[State]string{Invalid: "INVALID", Established: "ESTABLISHED", New: "NEW", Untracked: "UNTRACKED"}
	state, known := r.stateAt(r.hookPoint)
	if !known {
		return some
	}
	return matchIf(slices.Contains(strings.Split(list, ","), words[state]))
}
