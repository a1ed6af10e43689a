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

// ErrFull is the error if every pod subnet of the network is taken.
var ErrFull = errors.New("every pod subnet is taken")

// Choose returns a free pair of pod subnets: its halves overlap no half in taken. The error wraps ErrFull if none is
// free. The search starts at a hash of the node's identity, spread over the whole range. Nodes that choose at the same
// time from the same set therefore usually choose different pairs. The same arguments always give the same pair.
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

// span holds the addresses from first to last, both included.
type span struct{ first, last number }

// choose returns the first free pod subnet. It searches from the hashed start to the end of the range, then from the
// beginning.
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

// start returns where the search begins. It spreads identities evenly over the pod subnets of the range.
func (r Range) start(identity string) netip.Addr {
	f := FamilyOf(r.Prefix.Addr())
	size := blockSize(f, r.SubnetLen)
	// count is the number of pod subnets. It is a big.Int because there can be 2¹²⁴ of them.
	count := new(big.Int).Div(numberOf(r.Max).sub(numberOf(r.Min)).big(), size.big())
	count.Add(count, big.NewInt(1))
	sum := sha256.Sum256([]byte(identity))
	index := new(big.Int).SetBytes(sum[:])
	index.Mod(index, count)
	var b [16]byte
	index.Mul(index, size.big()).FillBytes(b[:])
	offset := number{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
	return numberOf(r.Min).add(offset).addr(f)
}

// firstFree returns the first pod subnet at or after from that overlaps no span. It reads each span once, even if the span
// covers many pod subnets.
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
		// The block is taken. Continue after the pod subnet in which the span ends.
		end := last(netip.PrefixFrom(s.last.addr(f), r.SubnetLen))
		if !end.Less(r.Max) {
			return netip.Prefix{}, false
		}
		at = end.Next()
	}
	return netip.PrefixFrom(at, r.SubnetLen), true
}

// spans returns the sorted halves of one family. It does not merge overlapping ones: firstFree skips them.
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
