package nft

import (
	"bytes"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// Same reports whether a rule of the kernel equals this rule. Their counts may differ.
func (r Rule) Same(k KernelRule) bool {
	return bytes.Equal(k.UserData, r.UserData()) && sameExprs(k.Table.Family, k.Exprs, r.Exprs)
}

// SameButComment is Same without the comment. iptables-restore writes a comment as a match of its own.
func (r Rule) SameButComment(k KernelRule) bool {
	exprs := slices.DeleteFunc(slices.Clone(k.Exprs), func(e Attrs) bool {
		_, ok := matchComment(e)
		return ok
	})
	return sameExprs(k.Table.Family, exprs, r.Exprs)
}

// sameExprs compares expressions as bytes. A library would ignore attributes that it does not know, and so hide a change by
// another program.
func sameExprs(f nftables.TableFamily, have []Attrs, want []expr.Any) bool {
	if len(have) != len(want) {
		return false
	}
	for i, w := range want {
		wire, err := expr.Marshal(byte(f), w)
		if err != nil || !sameExpr(have[i], wire, w) {
			return false
		}
	}
	return true
}

func sameExpr(have, wire Attrs, want expr.Any) bool {
	switch want.(type) {
	case *expr.Counter: // traffic changes the counts
		name, _ := have.Expr()
		return name == "counter"
	default:
		return equalAttributes(have, wire)
	}
}

// equalAttributes compares attributes of the kernel with wanted ones. Either side may omit a default, such as the operation of
// a bitwise expression. So an attribute that only one side has must be zero.
func equalAttributes(have, want Attrs) bool {
	return want.every(func(w attribute) bool {
		h, ok := have.Find(w.kind)
		switch {
		case !ok:
			return isZero(w.data)
		case w.nested:
			return equalAttributes(h, w.data)
		}
		return bytes.Equal(h, w.data)
	}) && have.every(func(h attribute) bool {
		_, wanted := want.Find(h.kind)
		return wanted || isZero(h.data)
	})
}

func isZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }
