package nft

import (
	"errors"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Overview is all tables and chains of the network namespace, without their content.
type Overview struct {
	Tables []KernelTable
	Chains []KernelChain
}

// Chain returns a chain by its name.
func (o Overview) Chain(id ID, chain string) (KernelChain, bool) {
	i := slices.IndexFunc(o.Chains, func(c KernelChain) bool { return c.Table == id && c.Name == chain })
	if i < 0 {
		return KernelChain{}, false
	}
	return o.Chains[i], true
}

// Overview lists all tables and chains.
func (c *Conn) Overview() (o Overview, err error) {
	if o.Tables, err = dump(c, parseTable, unix.NFT_MSG_GETTABLE, nftables.TableFamilyUnspecified); err != nil {
		return o, err
	}
	o.Chains, err = dump(c, parseChain, unix.NFT_MSG_GETCHAIN, nftables.TableFamilyUnspecified)
	return o, err
}

// Content reads the rules and sets of a table, and adds what the overview has of it. If the table does not exist, it returns the
// zero value. It takes the elements of the sets in known from there: no transaction may have changed them since. It always reads
// the elements of a set to which packets add them, or from which a timeout removes them.
func (c *Conn) Content(o Overview, id ID, known []KernelSet) (in Installed, err error) {
	i := slices.IndexFunc(o.Tables, func(t KernelTable) bool { return t.ID == id })
	if i < 0 {
		return Installed{}, nil // the kernel refuses to list the sets of a table that does not exist
	}
	in.Table = o.Tables[i]
	for _, chain := range o.Chains {
		if chain.Table == id {
			in.Chains = append(in.Chains, chain)
		}
	}
	if in.Rules, err = dump(c, parseRule, unix.NFT_MSG_GETRULE, id.Family, name(unix.NFTA_RULE_TABLE, id.Name)); err != nil {
		return in, err
	}
	in.Sets, err = c.sets(id, known)
	return in, err
}

func (c *Conn) sets(id ID, known []KernelSet) ([]KernelSet, error) {
	sets, err := dump(c, parseSet, unix.NFT_MSG_GETSET, id.Family, name(unix.NFTA_SET_TABLE, id.Name))
	if err != nil {
		return nil, err
	}
	for i := range sets {
		at := slices.IndexFunc(known, func(k KernelSet) bool { return k.Name == sets[i].Name })
		if at >= 0 && sets[i].Flags&(unix.NFT_SET_EVAL|unix.NFT_SET_TIMEOUT) == 0 {
			sets[i] = known[at]
			continue
		}
		answers, err := c.ask(unix.NFT_MSG_GETSETELEM, netlink.Dump, id.Family,
			name(unix.NFTA_SET_ELEM_LIST_TABLE, id.Name), name(unix.NFTA_SET_ELEM_LIST_SET, sets[i].Name))
		if err != nil {
			return nil, err
		}
		lists := make([]Attrs, len(answers))
		for j, a := range answers {
			lists[j] = a.attrs.Data(unix.NFTA_SET_ELEM_LIST_ELEMENTS)
		}
		sets[i].addElements(lists)
	}
	return sets, nil
}

// Rules reads the rules of one chain, of any program.
func (c *Conn) Rules(id ID, chain string) ([]KernelRule, error) {
	return dump(c, parseRule, unix.NFT_MSG_GETRULE, id.Family, name(unix.NFTA_RULE_TABLE, id.Name), name(unix.NFTA_RULE_CHAIN, chain))
}

// KeyLength returns the length of a set's keys in bytes.
func (c *Conn) KeyLength(id ID, set string) (int, error) {
	answers, err := c.ask(unix.NFT_MSG_GETSET, 0, id.Family, name(unix.NFTA_SET_TABLE, id.Name), name(unix.NFTA_SET_NAME, set))
	switch {
	case err != nil:
		return 0, err
	case len(answers) == 0:
		return 0, errors.New("the kernel's answer has no set")
	}
	return int(answers[0].attrs.Number(unix.NFTA_SET_KEY_LEN)), nil
}

// Lookup reads the element with one key. So a large set costs no more than a small one. data is the value in a map.
func (c *Conn) Lookup(id ID, set string, key []byte) (data Attrs, found bool, err error) {
	list, err := elementList(key)
	if err != nil {
		return nil, false, err
	}
	answers, err := c.ask(unix.NFT_MSG_GETSETELEM, 0, id.Family, name(unix.NFTA_SET_ELEM_LIST_TABLE, id.Name), name(unix.NFTA_SET_ELEM_LIST_SET, set), list)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, false, nil
	case err != nil || len(answers) == 0:
		return nil, false, err
	}
	first, _, ok := answers[0].attrs.Data(unix.NFTA_SET_ELEM_LIST_ELEMENTS).next()
	return first.data.Data(unix.NFTA_SET_ELEM_DATA), ok, nil
}

// elementList returns the attribute that requests one key.
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

func parseTable(a answer) KernelTable {
	return KernelTable{ID{a.family, a.attrs.Text(unix.NFTA_TABLE_NAME)}, a.attrs.Number(unix.NFTA_TABLE_FLAGS), a.attrs.Number(unix.NFTA_TABLE_USE)}
}

func parseChain(a answer) KernelChain {
	c := KernelChain{Table: ID{a.family, a.attrs.Text(unix.NFTA_CHAIN_TABLE)}, Name: a.attrs.Text(unix.NFTA_CHAIN_NAME)}
	if hook, ok := a.attrs.Find(unix.NFTA_CHAIN_HOOK); ok {
		c.Base = Base{
			Type:     nftables.ChainType(a.attrs.Text(unix.NFTA_CHAIN_TYPE)),
			Hook:     nftables.ChainHook(hook.Number(unix.NFTA_HOOK_HOOKNUM)),
			Priority: nftables.ChainPriority(hook.Number(unix.NFTA_HOOK_PRIORITY)), //nolint:gosec // the kernel's signed number
			Policy:   nftables.ChainPolicy(a.attrs.Number(unix.NFTA_CHAIN_POLICY)),
		}
		c.Devices = parseDevices(hook)
	}
	return c
}

// parseDevices returns the interfaces that a chain is attached to.
func parseDevices(hook Attrs) (names []string) {
	if one := hook.Text(unix.NFTA_HOOK_DEV); one != "" {
		names = append(names, one)
	}
	const devices = 4 // NFTA_HOOK_DEVS
	for list := hook.Data(devices); len(list) > 0; {
		d, rest, _ := list.next()
		if name := unix.ByteSliceToString(d.data); !slices.Contains(names, name) {
			names = append(names, name)
		}
		list = rest
	}
	return names
}

func parseRule(a answer) KernelRule {
	r := KernelRule{
		Table: ID{a.family, a.attrs.Text(unix.NFTA_RULE_TABLE)}, Chain: a.attrs.Text(unix.NFTA_RULE_CHAIN),
		UserData: a.attrs.Data(unix.NFTA_RULE_USERDATA),
	}
	r.Handle, _ = a.attrs.number64(unix.NFTA_RULE_HANDLE)
	for list := a.attrs.Data(unix.NFTA_RULE_EXPRESSIONS); len(list) > 0; {
		e, rest, _ := list.next()
		r.Exprs = append(r.Exprs, e.data)
		list = rest
	}
	return r
}

func parseSet(a answer) KernelSet {
	s := KernelSet{
		Name: a.attrs.Text(unix.NFTA_SET_NAME), Flags: a.attrs.Number(unix.NFTA_SET_FLAGS),
		KeyType: a.attrs.Number(unix.NFTA_SET_KEY_TYPE), KeyLength: a.attrs.Number(unix.NFTA_SET_KEY_LEN),
		Size: a.attrs.Data(unix.NFTA_SET_DESC).Number(unix.NFTA_SET_DESC_SIZE),
	}
	if ms, ok := a.attrs.number64(unix.NFTA_SET_TIMEOUT); ok {
		s.Timeout = time.Duration(ms) * time.Millisecond //nolint:gosec // some minutes
	}
	return s
}

// addElements adds the elements in all lists. It counts them first, to allocate their memory once.
func (s *KernelSet) addElements(lists []Attrs) {
	count, size := 0, 0
	for _, list := range lists {
		size += len(list)
		for len(list) > 0 {
			_, list, _ = list.next()
			count++
		}
	}
	keys := make([]byte, 0, min(count*int(s.KeyLength), size))
	for _, list := range lists {
		for len(list) > 0 {
			e, rest, ok := list.next()
			value, found := e.data.Data(unix.NFTA_SET_ELEM_KEY).Find(unix.NFTA_DATA_VALUE)
			if ok && found && len(value) == int(s.KeyLength) {
				keys = append(keys, value...)
			} else {
				s.unsupported = true
			}
			list = rest
		}
	}
	s.Elements = splitKeys(keys, int(s.KeyLength))
}
