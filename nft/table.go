// Package nft programs nftables tables. It compares a wanted table with the kernel, and writes the difference in one
// transaction. A Table's plan changes no other table.
//
//	wanted Table --+
//	               +-- Plan: difference, messages --> Commit: one transaction, or nothing
//	Installed -----+
//	    ^
//	    +-- Conn.Consistent: read at one generation of the rule set
package nft

import (
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
)

// ID names a table.
type ID struct {
	Family nftables.TableFamily
	Name   string
}

// String returns nft's form: inet podlane.
func (id ID) String() string { return FamilyName(id.Family) + " " + id.Name }

func (id ID) nft() *nftables.Table { return &nftables.Table{Name: id.Name, Family: id.Family} }

// Table is the wanted content of a table.
type Table struct {
	ID
	Chains []Chain
	Sets   []Set
}

// Chain is a chain with its rules in order. Rules may jump to any chain of the table.
type Chain struct {
	Name  string
	Base  Base
	Rules []Rule
}

// Base holds the hook of a base chain. The zero value means a regular chain, which packets reach only from other chains.
type Base struct {
	Type     nftables.ChainType
	Hook     nftables.ChainHook
	Priority nftables.ChainPriority
	Policy   nftables.ChainPolicy
}

// Rule is a wanted rule, with the text that nft prints for it.
type Rule struct {
	Text    string
	Exprs   []expr.Any
	Comment string
}

// String returns the rule as nft prints it.
func (r Rule) String() string {
	if r.Comment != "" {
		return fmt.Sprintf("%s comment %q", r.Text, r.Comment)
	}
	return r.Text
}

// UserData returns the comment in nft's form. The kernel only stores it.
func (r Rule) UserData() []byte {
	if r.Comment == "" {
		return nil
	}
	return userdata.AppendString(nil, userdata.TypeComment, r.Comment)
}
