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
	h, ok := attributes(have)
	if !ok {
		return false
	}
	w, ok := attributes(want)
	if !ok {
		return false
	}
	for t, a := range w {
		got, ok := h[t]
		delete(h, t)
		switch {
		case !ok && !isZero(a.data):
			return false
		case ok && a.nested && !equalAttributes(got.data, a.data):
			return false
		case ok && !a.nested && !bytes.Equal(got.data, a.data):
			return false
		}
	}
	for _, a := range h {
		if !isZero(a.data) {
			return false
		}
	}
	return true
}

func isZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

type attribute struct {
	nested bool // as the writer says; the kernel leaves the mark out of its answers
	data   []byte
}

// attributes takes a list of attributes apart. It is not ok where one of them is there twice.
func attributes(b []byte) (map[uint16]attribute, bool) {
	m, count := map[uint16]attribute{}, 0
	for len(b) > 0 {
		data, rest, ok := nextAttribute(b)
		if !ok {
			return nil, false
		}
		t := typeOf(b)
		m[t&^typeMarks] = attribute{t&unix.NLA_F_NESTED != 0, data}
		b = rest
		count++
	}
	return m, len(m) == count
}

func exprName(raw []byte) string {
	name, _ := find(raw, unix.NFTA_EXPR_NAME)
	return text(name)
}

func text(b []byte) string { return string(bytes.TrimRight(b, "\x00")) }
