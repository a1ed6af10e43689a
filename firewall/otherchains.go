package firewall

import (
	"fmt"
	"net"
	"slices"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// ruling is the effect of another program's base chain on packets that podlane needs.
type ruling struct {
	chain  heldChain
	packet packet
	fate
	ifNew fate // the fate if connection tracking tracked the packets and their state were new
}

// otherRules reads the rules and the sets of other programs when the evaluation needs them. It reads each once.
type otherRules struct {
	socket
	err   error // the first one
	rules map[chainKey][]heldRule
	keys  map[setKey]int
	found map[elementKey]foundElement
}

type chainKey struct {
	family       nftables.TableFamily
	table, chain string
}

type setKey struct {
	family     nftables.TableFamily
	table, set string
}

type elementKey struct {
	setKey
	key string
}

type foundElement struct {
	data  []byte
	found bool
}

// judge evaluates the chains of other programs for the packets that Rules need. It fails if they change all the time.
func judge(r Rules) (rulings []ruling, generation uint32, err error) {
	s, err := open(nil)
	if err != nil {
		return nil, 0, err
	}
	defer s.close()
	packets := packetsOf(r, indexOf)
	generation, err = s.consistent(func() (err error) {
		rulings, err = s.judge(r, packets)
		return err
	})
	return rulings, generation, err
}

// indexOf returns the index of an interface; 0 if there is none of that name.
func indexOf(name string) uint32 {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return 0
	}
	return uint32(i.Index) //nolint:gosec // the kernel's numbers are positive
}

func (s socket) judge(r Rules, packets []packet) (rulings []ruling, err error) {
	tables, err := each(s, heldTableOf, unix.NFT_MSG_GETTABLE, nftables.TableFamilyUnspecified)
	if err != nil {
		return nil, err
	}
	chains, err := each(s, heldChainOf, unix.NFT_MSG_GETCHAIN, nftables.TableFamilyUnspecified)
	if err != nil {
		return nil, err
	}
	others := &otherRules{socket: s, rules: map[chainKey][]heldRule{}, keys: map[setKey]int{}, found: map[elementKey]foundElement{}}
	for _, c := range chains {
		if !evaluated(c, tables) {
			continue
		}
		if c.family == nftables.TableFamilyBridge {
			packets = withBridges(packets, r)
		}
		for _, p := range packets {
			if !reaches(p, c) {
				continue
			}
			ruled := ruling{chain: c, packet: p, fate: others.fate(c, p)}
			if p.state == stateUntracked {
				p.state = stateNew
				ruled.ifNew = others.fate(c, p)
			}
			rulings = append(rulings, ruled)
		}
	}
	return rulings, others.err
}

// evaluated reports whether a chain is another program's base chain that filters.
func evaluated(c heldChain, tables []heldTable) bool {
	const dormant = 1 // NFT_TABLE_F_DORMANT
	return c.base.kind != "" && c.base.kind != nftables.ChainTypeNAT && (c.family != nftables.TableFamilyINet || c.table != Name) &&
		!slices.ContainsFunc(tables, func(t heldTable) bool { return t.family == c.family && t.name == c.table && t.flags&dormant != 0 })
}

// reaches reports whether the packets reach a base chain.
func reaches(p packet, c heldChain) bool {
	switch c.family {
	case nftables.TableFamilyBridge:
		return p.traffic == bridged && slices.Contains(hooks[bridged], c.base.hook)
	case nftables.TableFamilyNetdev:
		return p.passes(c, netdevHook(c))
	case nftables.TableFamilyINet:
		if c.base.hook == inetIngress {
			return p.passes(c, inetIngress)
		}
	case iptables[p.family].family:
	default:
		return false
	}
	return p.traffic != bridged && slices.Contains(hooks[p.traffic], c.base.hook)
}

// netdevHook is the hook of a chain of interfaces in the numbers of inet, as far as the evaluation tells hooks apart. netdev's
// own numbers are those of other hooks there.
func netdevHook(c heldChain) nftables.ChainHook {
	if c.base.hook == *nftables.ChainHookIngress {
		return inetIngress
	}
	return *nftables.ChainHookPostrouting // on the way out
}

// passes reports whether packets pass an interface that a chain is attached to, as they come or as they go.
func (p packet) passes(c heldChain, hook nftables.ChainHook) bool {
	at := p.in
	if hook != inetIngress {
		at = p.out
	}
	return p.traffic != bridged && !p.sameNode && at.name != "" && slices.Contains(c.devices, at.name)
}

// withBridges adds the packets that pods send over bridges.
func withBridges(packets []packet, r Rules) []packet {
	if slices.ContainsFunc(packets, func(p packet) bool { return p.traffic == bridged }) {
		return packets
	}
	for _, name := range r.PodInterfaces {
		if isBridge(name) {
			packets = append(slices.Clip(packets), bridgePackets(r, name)...)
		}
	}
	return packets
}

// isBridge reports whether an interface is a bridge. It asks the kernel for the driver's name.
func isBridge(name string) bool {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	info, err := unix.IoctlGetEthtoolDrvinfo(fd, name)
	return err == nil && text(info.Driver[:]) == "bridge"
}

// fate evaluates a base chain for the packets.
func (o *otherRules) fate(c heldChain, p packet) fate {
	at := place{c.family, c.base.hook, c.base.priority}
	if c.family == nftables.TableFamilyNetdev {
		at.hook = netdevHook(c)
	}
	sets := tableOf{o, c.family, c.table}
	w := walker{effects: func(chain string) (all []effect, ok bool) {
		rules, err := o.chain(chainKey{c.family, c.table, chain})
		for _, r := range rules {
			all = append(all, effectOf(r, p, at, sets, fmt.Sprintf("rule handle %d of chain %s", r.handle, chain)))
		}
		return all, err == nil
	}}
	return w.base(c.name, c.base.policy == nftables.ChainPolicyDrop)
}

// failed keeps the first error.
func (o *otherRules) failed(err error) error {
	if o.err == nil {
		o.err = err
	}
	return err
}

func (o *otherRules) chain(k chainKey) ([]heldRule, error) {
	if rules, ok := o.rules[k]; ok {
		return rules, nil
	}
	rules, err := each(o.socket, heldRuleOf, unix.NFT_MSG_GETRULE, k.family, name(unix.NFTA_RULE_TABLE, k.table), name(unix.NFTA_RULE_CHAIN, k.chain))
	if err != nil {
		return nil, o.failed(err)
	}
	o.rules[k] = rules
	return rules, nil
}

// tableOf is one table of another program.
type tableOf struct {
	*otherRules
	family nftables.TableFamily
	table  string
}

func (t tableOf) keyLength(set string) (int, error) {
	k := setKey{t.family, t.table, set}
	if n, ok := t.keys[k]; ok {
		return n, nil
	}
	answers, err := t.ask(unix.NFT_MSG_GETSET, 0, t.family, name(unix.NFTA_SET_TABLE, t.table), name(unix.NFTA_SET_NAME, set))
	if err != nil || len(answers) == 0 {
		return 0, t.failed(fmt.Errorf("read set %s: %w", set, err))
	}
	t.keys[k] = int(answers[0].number(unix.NFTA_SET_KEY_LEN))
	return t.keys[k], nil
}

// element reads one key from the kernel, so that a large set costs no more than a small one.
func (t tableOf) element(set string, key []byte) (data []byte, found bool, err error) {
	k := elementKey{setKey{t.family, t.table, set}, string(key)}
	if e, ok := t.otherRules.found[k]; ok {
		return e.data, e.found, nil
	}
	list, err := elementList(key)
	if err != nil {
		return nil, false, err
	}
	answers, err := t.ask(unix.NFT_MSG_GETSETELEM, 0, t.family, name(unix.NFTA_SET_ELEM_LIST_TABLE, t.table),
		name(unix.NFTA_SET_ELEM_LIST_SET, set), list)
	var e foundElement
	switch {
	case isNoSuch(err):
	case err != nil:
		return nil, false, t.failed(fmt.Errorf("look up in set %s: %w", set, err))
	case len(answers) > 0:
		first, _, ok := nextAttribute(answers[0].data(unix.NFTA_SET_ELEM_LIST_ELEMENTS))
		e.found = ok
		e.data, _ = find(first.data, unix.NFTA_SET_ELEM_DATA)
	}
	t.otherRules.found[k] = e
	return e.data, e.found, nil
}

// elementList returns the list of one key for a request.
func elementList(key []byte) (netlink.Attribute, error) {
	var err error
	nest := func(kind uint16, inner netlink.Attribute) netlink.Attribute {
		b, e := netlink.MarshalAttributes([]netlink.Attribute{inner})
		if e != nil {
			err = e
		}
		return netlink.Attribute{Type: kind | unix.NLA_F_NESTED, Data: b}
	}
	value := netlink.Attribute{Type: unix.NFTA_DATA_VALUE, Data: key}
	const listElement = 1 // NFTA_LIST_ELEM
	element := nest(listElement, nest(unix.NFTA_SET_ELEM_KEY, value))
	return nest(unix.NFTA_SET_ELEM_LIST_ELEMENTS, element), err
}
