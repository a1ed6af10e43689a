package firewall

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/userdata"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/kernel"
)

// snapshot is the part of the kernel's nftables that this package looks at, at one generation: every table and chain
// by name, and the content of its own table and of iptables-nft's FORWARD chains.
type snapshot struct {
	generation uint32
	tables     []heldTable
	chains     []heldChain
	rules      []heldRule
	sets       []heldSet
	followed   map[chainKey]bool // chains of iptables-nft whose rules are among rules
}

type heldTable struct {
	family nftables.TableFamily
	name   string
	flags  uint32
	use    uint32 // how many chains, sets, flow tables and named objects it holds
}

type heldChain struct {
	family      nftables.TableFamily
	table, name string
	base        base
	devices     []string // of family netdev, and of inet's ingress hook
}

type heldRule struct {
	family       nftables.TableFamily
	table, chain string
	handle       uint64
	exprs        [][]byte
	userdata     []byte
}

type heldSet struct {
	name     string
	flags    uint32
	keyType  uint32
	keyLen   uint32 // in bytes
	size     uint32 // how many elements it may have; 0: any number
	timeout  time.Duration
	elements []element
	foreign  bool // it holds an element of another length
}

// errChanged reports that the rule set changed while it was read.
var errChanged = errors.New("read nftables: other programs change it faster than it can be read")

// consistent repeats a read until the rule set does not change in between. The kernel cannot list everything at once: what
// was read belongs together only if the generation is the same before and after.
func (s socket) consistent(read func() error) (generation uint32, err error) {
	err = kernel.RetryRead(errChanged, func() error {
		if generation, err = s.generation(); err != nil {
			return err
		}
		readErr := read()
		after, err := s.generation()
		switch {
		case err != nil:
			return err
		case after != generation:
			return errChanged
		}
		return readErr
	})
	return generation, err
}

// read takes a snapshot.
func read() (shot snapshot, err error) {
	s, err := open(&netlink.Config{MessageBufferSize: 32 << 10}) // as much as the kernel puts in one where there is room
	if err != nil {
		return snapshot{}, err
	}
	defer s.close()
	generation, err := s.consistent(func() (err error) {
		shot, err = s.readAll()
		return err
	})
	shot.generation = generation
	return shot, err
}

func (s socket) readAll() (shot snapshot, err error) {
	if shot.tables, err = each(s, heldTableOf, unix.NFT_MSG_GETTABLE, nftables.TableFamilyUnspecified); err != nil {
		return shot, err
	}
	if shot.chains, err = each(s, heldChainOf, unix.NFT_MSG_GETCHAIN, nftables.TableFamilyUnspecified); err != nil {
		return shot, err
	}
	if shot.rules, err = each(s, heldRuleOf, unix.NFT_MSG_GETRULE, nftables.TableFamilyINet, name(unix.NFTA_RULE_TABLE, Name)); err != nil {
		return shot, err
	}
	for _, f := range iptables {
		if err := s.follow(&shot, chainKey{f.family, filter, forwardChain}); err != nil {
			return shot, err
		}
	}
	if _, ok := shot.own(); ok { // the kernel refuses to list the sets of a table that is not there
		shot.sets, err = s.readSets()
	}
	return shot, err
}

func (s socket) readSets() ([]heldSet, error) {
	sets, err := each(s, heldSetOf, unix.NFT_MSG_GETSET, nftables.TableFamilyINet, name(unix.NFTA_SET_TABLE, Name))
	if err != nil {
		return nil, err
	}
	for i := range sets {
		answers, err := s.dump(unix.NFT_MSG_GETSETELEM, nftables.TableFamilyINet,
			name(unix.NFTA_SET_ELEM_LIST_TABLE, Name), name(unix.NFTA_SET_ELEM_LIST_SET, sets[i].name))
		if err != nil {
			return nil, err
		}
		for _, a := range answers {
			sets[i].addElements(a.data(unix.NFTA_SET_ELEM_LIST_ELEMENTS))
		}
	}
	return sets, nil
}

func each[T any](s socket, of func(object) T, kind int, f nftables.TableFamily, attrs ...netlink.Attribute) ([]T, error) {
	objects, err := s.dump(kind, f, attrs...)
	var all []T
	for _, o := range objects {
		all = append(all, of(o))
	}
	return all, err
}

func name(t uint16, s string) netlink.Attribute {
	return netlink.Attribute{Type: t, Data: append([]byte(s), 0)}
}

func heldTableOf(o object) heldTable {
	return heldTable{o.family, o.text(unix.NFTA_TABLE_NAME), o.number(unix.NFTA_TABLE_FLAGS), o.number(unix.NFTA_TABLE_USE)}
}

func heldChainOf(o object) heldChain {
	c := heldChain{family: o.family, table: o.text(unix.NFTA_CHAIN_TABLE), name: o.text(unix.NFTA_CHAIN_NAME)}
	if hook, ok := find(o.attrs, unix.NFTA_CHAIN_HOOK); ok {
		h := object{o.family, hook}
		c.base = base{
			kind:     nftables.ChainType(o.text(unix.NFTA_CHAIN_TYPE)),
			hook:     nftables.ChainHook(h.number(unix.NFTA_HOOK_HOOKNUM)),
			priority: nftables.ChainPriority(h.number(unix.NFTA_HOOK_PRIORITY)), //nolint:gosec // the kernel's signed number
			policy:   nftables.ChainPolicy(o.number(unix.NFTA_CHAIN_POLICY)),
		}
		c.devices = devicesOf(h)
	}
	return c
}

func heldRuleOf(o object) heldRule {
	r := heldRule{
		family: o.family, table: o.text(unix.NFTA_RULE_TABLE), chain: o.text(unix.NFTA_RULE_CHAIN),
		userdata: o.data(unix.NFTA_RULE_USERDATA),
	}
	for _, b := range o.data(unix.NFTA_RULE_HANDLE) {
		r.handle = r.handle<<8 | uint64(b)
	}
	list := o.data(unix.NFTA_RULE_EXPRESSIONS)
	for len(list) > 0 {
		e, rest, _ := nextAttribute(list)
		r.exprs = append(r.exprs, e.data)
		list = rest
	}
	return r
}

// comment is the rule's comment, whether it stands where nft writes it or in the match that iptables writes.
func (r heldRule) comment() string {
	for _, e := range r.exprs {
		if c, ok := matchComment(e); ok {
			return c
		}
	}
	for b := r.userdata; len(b) >= 2 && len(b) >= 2+int(b[1]); b = b[2+int(b[1]):] { // type, length, value
		if userdata.Type(b[0]) == userdata.TypeComment {
			return text(b[2 : 2+int(b[1])])
		}
	}
	return ""
}

// matchComment reads xtables' comment match, which is what iptables makes of a comment.
func matchComment(raw []byte) (string, bool) {
	if exprName(raw) != "match" {
		return "", false
	}
	match, _ := find(raw, unix.NFTA_EXPR_DATA)
	if name, _ := find(match, unix.NFTA_MATCH_NAME); text(name) != "comment" {
		return "", false
	}
	info, _ := find(match, unix.NFTA_MATCH_INFO)
	return text(info), true
}

func heldSetOf(o object) heldSet {
	h := heldSet{
		name: o.text(unix.NFTA_SET_NAME), flags: o.number(unix.NFTA_SET_FLAGS),
		keyType: o.number(unix.NFTA_SET_KEY_TYPE), keyLen: o.number(unix.NFTA_SET_KEY_LEN),
		size: object{attrs: o.data(unix.NFTA_SET_DESC)}.number(unix.NFTA_SET_DESC_SIZE),
	}
	if ms := o.data(unix.NFTA_SET_TIMEOUT); len(ms) == 8 {
		h.timeout = time.Duration(binary.BigEndian.Uint64(ms)) * time.Millisecond //nolint:gosec // some minutes
	}
	return h
}

// addElements takes a list of elements apart.
func (h *heldSet) addElements(list []byte) {
	for len(list) > 0 {
		e, rest, ok := nextAttribute(list)
		key, found := find(e.data, unix.NFTA_SET_ELEM_KEY)
		value, _ := find(key, unix.NFTA_DATA_VALUE)
		h.foreign = h.foreign || !ok || !found || len(value) != int(h.keyLen)
		h.elements = append(h.elements, element(value))
		list = rest
	}
}

// chain returns a chain of the snapshot.
func (s snapshot) chain(f nftables.TableFamily, table, chain string) (heldChain, bool) {
	i := slices.IndexFunc(s.chains, func(c heldChain) bool { return c.family == f && c.table == table && c.name == chain })
	if i < 0 {
		return heldChain{}, false
	}
	return s.chains[i], true
}

// in returns the rules of a chain, in order.
func (s snapshot) in(f nftables.TableFamily, table, chain string) (rules []heldRule) {
	for _, r := range s.rules {
		if r.family == f && r.table == table && r.chain == chain {
			rules = append(rules, r)
		}
	}
	return rules
}

// devicesOf returns the interfaces that a chain is hooked in at.
func devicesOf(hook object) (names []string) {
	if one := hook.text(unix.NFTA_HOOK_DEV); one != "" {
		names = append(names, one)
	}
	const devices = 4 // NFTA_HOOK_DEVS
	for list := hook.data(devices); len(list) > 0; {
		d, rest, _ := nextAttribute(list)
		if name := text(d.data); !slices.Contains(names, name) {
			names = append(names, name)
		}
		list = rest
	}
	return names
}
