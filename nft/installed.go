package nft

import (
	"slices"
	"time"

	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// Installed is the content of one table in the kernel. The zero value means that there is none.
type Installed struct {
	Table  KernelTable
	Chains []KernelChain
	Rules  []KernelRule
	Sets   []KernelSet
}

// KernelTable is a table as the kernel returned it.
type KernelTable struct {
	ID
	Flags uint32
	Use   uint32 // how many chains, sets, flow tables and named objects it has
}

// KernelChain is any program's chain, as the kernel returned it.
type KernelChain struct {
	Table   ID
	Name    string
	Base    Base
	Devices []string // the interfaces it is attached to: only in family netdev, and at inet's ingress hook
}

// KernelRule is any program's rule, as the kernel returned it.
type KernelRule struct {
	Table    ID
	Chain    string
	Handle   uint64
	Exprs    []Attrs
	UserData []byte
}

// KernelSet is a set or a map, as the kernel returned it.
type KernelSet struct {
	Name        string
	Flags       uint32
	KeyType     uint32
	KeyLength   uint32 // in bytes
	Size        uint32 // largest number of elements; 0: no limit
	Timeout     time.Duration
	Elements    []Element
	unsupported bool // the key of an element does not have KeyLength bytes
}

// Exists reports whether the table exists.
func (i Installed) Exists() bool { return i.Table.Name != "" }

// Chain returns a chain of the table.
func (i Installed) Chain(name string) (KernelChain, bool) {
	at := slices.IndexFunc(i.Chains, func(c KernelChain) bool { return c.Name == name })
	if at < 0 {
		return KernelChain{}, false
	}
	return i.Chains[at], true
}

// Set returns a set of the table.
func (i Installed) Set(name string) (KernelSet, bool) {
	at := slices.IndexFunc(i.Sets, func(s KernelSet) bool { return s.Name == name })
	if at < 0 {
		return KernelSet{}, false
	}
	return i.Sets[at], true
}

// RulesOf returns the rules of a chain, in order.
func (i Installed) RulesOf(chain string) (rules []KernelRule) {
	for _, r := range i.Rules {
		if r.Chain == chain {
			rules = append(rules, r)
		}
	}
	return rules
}

// Comment returns the rule's comment; empty if there is none. nft stores it in the user data, iptables in a match.
func (r KernelRule) Comment() string {
	for _, e := range r.Exprs {
		if c, ok := matchComment(e); ok {
			return c
		}
	}
	for b := r.UserData; len(b) >= 2 && len(b) >= 2+int(b[1]); b = b[2+int(b[1]):] { // type, length, value
		if userdata.Type(b[0]) == userdata.TypeComment {
			return unix.ByteSliceToString(b[2 : 2+int(b[1])])
		}
	}
	return ""
}

// matchComment returns the comment in an xtables match. ok reports whether the expression is one.
func matchComment(e Attrs) (comment string, ok bool) {
	name, match := e.Expr()
	if name != "match" || match.Text(unix.NFTA_MATCH_NAME) != "comment" {
		return "", false
	}
	return match.Text(unix.NFTA_MATCH_INFO), true
}

// Counter returns the packets and bytes that a rule has counted. The bool reports whether the rule has a counter.
func (r KernelRule) Counter() (*expr.Counter, bool) {
	for _, e := range r.Exprs {
		name, data := e.Expr()
		packets, ok := data.number64(unix.NFTA_COUNTER_PACKETS)
		bytes, ok2 := data.number64(unix.NFTA_COUNTER_BYTES)
		if name == "counter" && ok && ok2 {
			return &expr.Counter{Packets: packets, Bytes: bytes}, true
		}
	}
	return nil, false
}
