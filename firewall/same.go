package firewall

import (
	"bytes"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// sameExprs tells whether the expressions of a rule, as the kernel gave them, are the wanted ones. It compares the
// attributes rather than what a library makes of them, for a library leaves out what it does not know, and a hand-made
// change could hide there.
func sameExprs(f nftables.TableFamily, have [][]byte, want []expr.Any) bool {
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

func sameExpr(have, wire []byte, want expr.Any) bool {
	switch want.(type) {
	case *expr.Counter: // the counts are the traffic's
		return exprName(have) == "counter"
	default:
		return equalAttributes(have, wire)
	}
}

// equalAttributes compares what the kernel gave with what it would be given. An attribute that only one of them has
// must be zero: either leaves out, or adds, what is the default, like the operation of a bitwise expression or the
// number of a set that is looked up by its name.
func equalAttributes(have, want []byte) bool {
	return every(want, func(w attribute) bool {
		h, ok := find(have, w.kind)
		switch {
		case !ok:
			return isZero(w.data)
		case w.nested:
			return equalAttributes(h, w.data)
		}
		return bytes.Equal(h, w.data)
	}) && every(have, func(h attribute) bool {
		_, wanted := find(want, h.kind)
		return wanted || isZero(h.data)
	})
}

func isZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

func exprName(raw []byte) string {
	name, _ := find(raw, unix.NFTA_EXPR_NAME)
	return text(name)
}

func text(b []byte) string { return string(bytes.TrimRight(b, "\x00")) }
