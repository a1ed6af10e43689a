package subnet

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
)

// ErrFull answers a choice when every pod subnet of the network is taken.
var ErrFull = errors.New("every pod subnet is taken")

// Choose picks a free pair of pod subnets: none of its halves shares an address with a half in taken. Where the search
// starts is a hash of the node's identity over the whole range, so that many nodes choosing at once from the same set
// choose differently. The same arguments always give the same pair.
func Choose(n Network, taken []Pair, identity string) (Pair, error) {
	var p Pair
	for _, f := range Families {
		r := n.Range(f)
		if !r.On() {
			continue
		}
		half, ok := r.choose(taken, identity)
		if !ok {
			return Pair{}, fmt.Errorf("choose from %s to %s: %w", r.Min, r.Max, ErrFull)
		}
		p = p.With(f, half)
	}
	return p, nil
}

// span is the addresses from first to last, both included.
type span struct{ first, last number }

// choose looks for the first free pod subnet from the hashed start to the end of the range, then from its beginning.
func (r Range) choose(taken []Pair, identity string) (netip.Prefix, bool) {
	f := FamilyOf(r.Prefix.Addr())
	used := spans(f, taken)
	start := r.start(identity)
	for _, from := range []netip.Addr{start, r.Min} {
		if p, ok := r.firstFree(from, used); ok {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

// start spreads identities evenly over the pod subnets of the range.
func (r Range) start(identity string) netip.Addr {
	f := FamilyOf(r.Prefix.Addr())
	size := blockSize(f, r.SubnetLen)
	// The number of pod subnets, less one so that it cannot overflow; big.Int because there can be 2¹²⁴ of them.
	count := new(big.Int).Div(numberOf(r.Max).sub(numberOf(r.Min)).big(), size.big())
	sum := sha256.Sum256([]byte(identity))
	index := new(big.Int).SetBytes(sum[:])
	index.Mod(index, count.Add(count, big.NewInt(1)))
	var b [16]byte
	index.Mul(index, size.big()).FillBytes(b[:])
	offset := number{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
	return numberOf(r.Min).add(offset).addr(f)
}

// firstFree finds the first pod subnet at or after from that no span touches. It looks at each span once, however many
// pod subnets a span covers.
func (r Range) firstFree(from netip.Addr, used []span) (netip.Prefix, bool) {
	f := FamilyOf(r.Prefix.Addr())
	at := from
	for _, s := range used {
		block := netip.PrefixFrom(at, r.SubnetLen)
		if s.last.less(numberOf(at)) {
			continue
		}
		if numberOf(last(block)).less(s.first) {
			break
		}
		// Taken: go on with the pod subnet after the one in which the span ends.
		end := last(netip.PrefixFrom(s.last.addr(f), r.SubnetLen))
		if !end.Less(r.Max) {
			return netip.Prefix{}, false
		}
		at = end.Next()
	}
	return netip.PrefixFrom(at, r.SubnetLen), true
}

// spans is one family's halves of the pairs, in order. Overlapping ones stay: firstFree passes over them.
func spans(f Family, taken []Pair) []span {
	var s []span
	for _, p := range taken {
		if half := p.Half(f); half.IsValid() {
			s = append(s, span{numberOf(half.Masked().Addr()), numberOf(last(half))})
		}
	}
	slices.SortFunc(s, func(a, b span) int {
		switch {
		case a.first.less(b.first):
			return -1
		case b.first.less(a.first):
			return 1
		}
		return 0
	})
	return s
}
