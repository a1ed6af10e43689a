package firewall

import (
	"fmt"

	"github.com/podlane/podlane/nft"
)

// foreignRules reads the rules and the sets of other programs when the evaluation needs them. It reads each once.
type foreignRules struct {
	conn       *nft.Conn
	err        error // the first one
	rules      map[chainKey][]nft.KernelRule
	keyLengths map[setKey]int
	elements   map[elementKey]setElement
}

func newForeignRules(c *nft.Conn) *foreignRules {
	return &foreignRules{
		conn: c, rules: map[chainKey][]nft.KernelRule{}, keyLengths: map[setKey]int{}, elements: map[elementKey]setElement{},
	}
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

// setElement is the result of a lookup in a set. data is a map's value.
type setElement struct {
	data  nft.Attrs
	found bool
}

// recordError returns the error, and stores it if it is the first one.
func (r *foreignRules) recordError(err error) error {
	if r.err == nil {
		r.err = err
	}
	return err
}

// foreignTable is one table of another program.
type foreignTable struct {
	*foreignRules
	id nft.ID
}

// Rules returns the rules of a chain.
func (t foreignTable) Rules(chain string) ([]nft.KernelRule, error) {
	k := chainKey{t.id, chain}
	if rules, ok := t.rules[k]; ok {
		return rules, nil
	}
	rules, err := t.conn.Rules(t.id, chain)
	if err != nil {
		return nil, t.recordError(err)
	}
	t.rules[k] = rules
	return rules, nil
}

// KeyLength returns the length of a set's keys in bytes.
func (t foreignTable) KeyLength(set string) (int, error) {
	k := setKey{t.id, set}
	if n, ok := t.keyLengths[k]; ok {
		return n, nil
	}
	n, err := t.conn.KeyLength(t.id, set)
	if err != nil {
		return 0, t.recordError(fmt.Errorf("read set %s: %w", set, err))
	}
	t.keyLengths[k] = n
	return n, nil
}

// Element looks up a key in a set.
func (t foreignTable) Element(set string, key []byte) (data nft.Attrs, found bool, err error) {
	k := elementKey{setKey{t.id, set}, string(key)}
	if e, ok := t.elements[k]; ok {
		return e.data, e.found, nil
	}
	data, found, err = t.conn.Lookup(t.id, set, key)
	if err != nil {
		return nil, false, t.recordError(fmt.Errorf("look up in set %s: %w", set, err))
	}
	t.elements[k] = setElement{data, found}
	return data, found, nil
}
