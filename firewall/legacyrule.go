package firewall

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// legacyTable holds the output of `iptables-legacy -S`: the chains of the filter table with their rules.
type legacyTable struct {
	policies map[string]string
	rules    map[string][]string // by chain, without "-A chain"
}

func readLegacyTable(listing string) legacyTable {
	t := legacyTable{map[string]string{}, map[string][]string{}}
	for line := range strings.Lines(listing) {
		words := strings.SplitN(strings.TrimSpace(line), " ", 3)
		switch {
		case len(words) < 2:
		case words[0] == "-P" && len(words) > 2:
			t.policies[words[1]], t.rules[words[1]] = words[2], nil
		case words[0] == "-N":
			t.rules[words[1]] = nil
		case words[0] == "-A":
			t.rules[words[1]] = append(t.rules[words[1]], strings.Join(words[2:], " "))
		}
	}
	return t
}

// effects returns what each rule of a chain does with the packets at a hook.
func (t legacyTable) effects(chain string, p packet, hook nftables.ChainHook) (all []effect, ok bool) {
	rules, ok := t.rules[chain]
	for _, r := range rules {
		l := legacyRule{words: splitWords(r), machine: machine{packet: p, place: place{hook: hook, priority: *nftables.ChainPriorityFilter}}}
		l.effect = effect{match: always, rule: "rule -A " + chain + " " + r, bare: true}
		l.read(t)
		all = append(all, l.effect)
	}
	return all, ok
}

// verdict returns the fate of the packets in a chain of the table that has a policy.
func (t legacyTable) verdict(chain string, p packet, hook nftables.ChainHook) fate {
	w := walker{effects: func(c string) ([]effect, bool) { return t.effects(c, p, hook) }}
	return w.base(chain, t.policies[chain] == "DROP")
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

// legacyRule is one rule that is read word by word.
type legacyRule struct {
	machine
	words []string
}

func (l *legacyRule) next() string {
	if len(l.words) == 0 {
		return ""
	}
	w := l.words[0]
	l.words = l.words[1:]
	return w
}

// read evaluates the conditions up to the target. The target's own options do not matter.
func (l *legacyRule) read(t legacyTable) {
	for len(l.words) > 0 {
		option := l.next()
		inverted := option == "!"
		if inverted {
			option = l.next()
		}
		switch option {
		case "-j", "-g":
			l.target(option, l.next(), t)
			return
		case "-m":
			l.next()
			continue
		case "--comment":
			l.next()
			continue
		}
		m := l.condition(option)
		if inverted {
			m = m.not()
		}
		l.match, l.bare = l.match.and(m), false
	}
}

func (l *legacyRule) target(option, name string, t legacyTable) {
	if _, chain := t.rules[name]; !chain {
		l.does = targetOfName(name)
		return
	}
	l.does, l.to = jumpTo, name
	if option == "-g" {
		l.does = gotoChain
	}
}

// condition evaluates an option with its value. An unsupported option may have any number of values.
func (l *legacyRule) condition(option string) match {
	in, out := l.devices()
	switch option {
	case "-s":
		return l.address(source)
	case "-d":
		return l.address(destination)
	case "-i":
		return in.nameIs(l.next())
	case "-o":
		return out.nameIs(l.next())
	case "-p":
		return l.protocol(l.next())
	case "-f":
		return never
	case "--sport", "--sports":
		return l.ports(source, l.next())
	case "--dport", "--dports":
		return l.ports(destination, l.next())
	case "--ctstate", "--state":
		return l.stateIn(l.next())
	case "--dst-type":
		return when(slices.Contains(strings.Split(l.next(), ","), map[bool]string{true: "LOCAL", false: "UNICAST"}[l.local]))
	case "--mark", "--tcp-option":
		l.next()
		return some
	case "--tcp-flags":
		l.next()
		l.next()
		return some
	}
	for len(l.words) > 0 && !strings.HasPrefix(l.words[0], "-") && l.words[0] != "!" {
		l.next()
	}
	return unsupported
}

func (l *legacyRule) address(s side) match {
	p, err := netip.ParsePrefix(l.next())
	if err != nil {
		return unsupported
	}
	return l.addressIs(s, p)
}

func (l *legacyRule) protocol(name string) match {
	known := map[string]byte{"all": 0, "tcp": unix.IPPROTO_TCP, "udp": unix.IPPROTO_UDP, "icmp": unix.IPPROTO_ICMP,
		"ipv6-icmp": unix.IPPROTO_ICMPV6, "sctp": unix.IPPROTO_SCTP, "esp": unix.IPPROTO_ESP, "ah": unix.IPPROTO_AH, "gre": unix.IPPROTO_GRE}
	if proto, ok := known[name]; ok {
		return l.protocolIs(proto)
	}
	n, err := strconv.ParseUint(name, 10, 8)
	if err != nil {
		return unsupported
	}
	return l.protocolIs(byte(n))
}

// ports reads "53", "53:60" and "53,8472".
func (l *legacyRule) ports(s side, list string) match {
	var ranges []portRange
	for part := range strings.SplitSeq(list, ",") {
		low, high, ranged := strings.Cut(part, ":")
		if !ranged {
			high = low
		}
		from, errLow := strconv.ParseUint(low, 10, 16)
		to, errHigh := strconv.ParseUint(high, 10, 16)
		if errLow != nil || errHigh != nil {
			return unsupported
		}
		ranges = append(ranges, portRange{uint16(from), uint16(to)})
	}
	return l.portInAny(s, ranges)
}

func (l *legacyRule) stateIn(list string) match {
	words := map[uint32]string{stateInvalid: "INVALID", stateEstablished: "ESTABLISHED", stateNew: "NEW", stateUntracked: "UNTRACKED"}
	state, known := l.stateAt(l.hook, l.priority)
	if !known {
		return some
	}
	return when(slices.Contains(strings.Split(list, ","), words[state]))
}
