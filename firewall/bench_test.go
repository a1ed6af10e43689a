package firewall

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/podlane/podlane/lab/sandbox"
)

// manyPeers returns dual with a number of peers, half of each family.
func manyPeers(count int) Rules {
	return with(func(r *Rules) {
		r.Peers = nil
		for i := range count / 2 {
			r.Peers = append(r.Peers, netip.AddrFrom4([4]byte{198, byte(18 + i>>16), byte(i >> 8), byte(i)}),
				netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 12: byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}))
		}
	})
}

// BenchmarkApplyNothingToDo measures a round of the daemon without changes. BenchmarkApplyOnePeer adds or removes a peer.
func BenchmarkApplyNothingToDo(b *testing.B) {
	for _, count := range []int{5000, 20000} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			r := manyPeers(count)
			bench(b, r, func(w *Firewall, _ int) (int, error) {
				ops, err := w.Apply(b.Context(), r)
				return len(ops), err
			}, 0)
		})
	}
}

func BenchmarkApplyOnePeer(b *testing.B) {
	for _, count := range []int{5000, 20000} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			r := manyPeers(count)
			fewer := r
			fewer.Peers = r.Peers[:count-1]
			bench(b, r, func(w *Firewall, i int) (int, error) {
				ops, err := w.Apply(b.Context(), [...]Rules{fewer, r}[i%2])
				return len(ops), err
			}, 1)
		})
	}
}

// bench applies r, then runs apply repeatedly, and checks its number of ops.
func bench(b *testing.B, r Rules, apply func(w *Firewall, i int) (ops int, err error), want int) {
	ns := sandbox.Test(b, "node")
	err := ns.Do(func() error {
		var w Firewall
		if _, err := w.Apply(b.Context(), r); err != nil {
			return err
		}
		b.ResetTimer()
		for i := range b.N {
			if ops, err := apply(&w, i); err != nil || ops != want {
				return fmt.Errorf("%d ops, %w", ops, err)
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}
