package firewall

import (
	"fmt"
	"net"
	"slices"

	"github.com/google/nftables"
	"github.com/podlane/podlane/nft"
	"golang.org/x/sys/unix"
)

// ruling is the effect of another program's base chain on packets that podlane needs.
type ruling struct {
	chain  nft.KernelChain
	packet packet
	fate
	ifNew fate // the fate if connection tracking tracked the packets and their state were new
}

// otherRules reads the rules and the sets of other programs when the evaluation needs them. It reads each once.
type otherRules struct {
	conn  *nft.Conn
	err   error // the first one
	rules map[chainKey][]nft.KernelRule
	keys  map[setKey]int
	found map[elementKey]foundElement
}

type chainKey struct {
	table nft.ID
	chain string
}

type setKey struct {
	table nft.ID
	set   string
}

type elementKey struct {
	setKey
	key string
}

type foundElement struct {
	data  nft.Attrs
	found bool
}

// judge evaluates the chains of other programs for the packets that Rules need. It fails if they change all the time.
func judge(r Rules) (rulings []ruling, generation uint32, err error) {
	c, err := nft.Dial()
	if err != nil {
		return nil, 0, err
	}
	defer c.Close()
	packets := packetsOf(r, indexOf)
	generation, err = c.Consistent(func() (err error) {
		rulings, err = judgePackets(c, r, packets)
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

func judgePackets(conn *nft.Conn, r Rules, packets []packet) (rulings []ruling, err error) {
	all, err := conn.Overview()
	if err != nil {
		return nil, err
	}
	others := &otherRules{conn: conn, rules: map[chainKey][]nft.KernelRule{}, keys: map[setKey]int{}, found: map[elementKey]foundElement{}}
	for _, c := range all.Chains {
		if !evaluated(c, all.Tables) {
			continue
		}
		if c.Table.Family == nftables.TableFamilyBridge {
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
func evaluated(c nft.KernelChain, tables []nft.KernelTable) bool {
	const dormant = 1 // NFT_TABLE_F_DORMANT
	return c.Base.Type != "" && c.Base.Type != nftables.ChainTypeNAT && c.Table != ownID &&
		!slices.ContainsFunc(tables, func(t nft.KernelTable) bool { return t.ID == c.Table && t.Flags&dormant != 0 })
}

// reaches reports whether the packets reach a base chain.
func reaches(p packet, c nft.KernelChain) bool {
	switch c.Table.Family {
	case nftables.TableFamilyBridge:
		return p.traffic == bridged && slices.Contains(hooks[bridged], c.Base.Hook)
	case nftables.TableFamilyNetdev:
		return p.passes(c, netdevHook(c))
	case nftables.TableFamilyINet:
		if c.Base.Hook == inetIngress {
			return p.passes(c, inetIngress)
		}
	case iptables[p.family].family:
	default:
		return false
	}
	return p.traffic != bridged && slices.Contains(hooks[p.traffic], c.Base.Hook)
}

// netdevHook is the hook of a chain of interfaces in the numbers of inet, as far as the evaluation tells hooks apart. netdev's
// own numbers are those of other hooks there.
func netdevHook(c nft.KernelChain) nftables.ChainHook {
	if c.Base.Hook == *nftables.ChainHookIngress {
		return inetIngress
	}
	return *nftables.ChainHookPostrouting // on the way out
}

// passes reports whether packets pass an interface that a chain is attached to, as they come or as they go.
func (p packet) passes(c nft.KernelChain, hook nftables.ChainHook) bool {
	at := p.in
	if hook != inetIngress {
		at = p.out
	}
	return p.traffic != bridged && !p.sameNode && at.name != "" && slices.Contains(c.Devices, at.name)
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
	return err == nil && unix.ByteSliceToString(info.Driver[:]) == "bridge"
}

// fate evaluates a base chain for the packets.
func (o *otherRules) fate(c nft.KernelChain, p packet) fate {
	at := place{c.Table.Family, c.Base.Hook, c.Base.Priority}
	if c.Table.Family == nftables.TableFamilyNetdev {
		at.hook = netdevHook(c)
	}
	sets := tableOf{o, c.Table}
	w := walker{effects: func(chain string) (all []effect, ok bool) {
		rules, err := o.chain(chainKey{c.Table, chain})
		for _, r := range rules {
			all = append(all, effectOf(r, p, at, sets, fmt.Sprintf("rule handle %d of chain %s", r.Handle, chain)))
		}
		return all, err == nil
	}}
	return w.base(c.Name, c.Base.Policy == nftables.ChainPolicyDrop)
}

// failed keeps the first error.
func (o *otherRules) failed(err error) error {
	if o.err == nil {
		o.err = err
	}
	return err
}

func (o *otherRules) chain(k chainKey) ([]nft.KernelRule, error) {
	if rules, ok := o.rules[k]; ok {
		return rules, nil
	}
	rules, err := o.conn.Rules(k.table, k.chain)
	if err != nil {
		return nil, o.failed(err)
	}
	o.rules[k] = rules
	return rules, nil
}

// tableOf is one table of another program.
type tableOf struct {
	*otherRules
	table nft.ID
}

func (t tableOf) keyLength(set string) (int, error) {
	k := setKey{t.table, set}
	if n, ok := t.keys[k]; ok {
		return n, nil
	}
	n, err := t.conn.KeyLength(t.table, set)
	if err != nil {
		return 0, t.failed(fmt.Errorf("read set %s: %w", set, err))
	}
	t.keys[k] = n
	return t.keys[k], nil
}

// element reads one key from the kernel, so that a large set costs no more than a small one.
func (t tableOf) element(set string, key []byte) (data nft.Attrs, found bool, err error) {
	k := elementKey{setKey{t.table, set}, string(key)}
	if e, ok := t.otherRules.found[k]; ok {
		return e.data, e.found, nil
	}
	var e foundElement
	if e.data, e.found, err = t.conn.Lookup(t.table, set, key); err != nil {
		return nil, false, t.failed(fmt.Errorf("look up in set %s: %w", set, err))
	}
	t.otherRules.found[k] = e
	return e.data, e.found, nil
}
