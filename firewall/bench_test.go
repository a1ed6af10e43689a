package firewall

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/lab/sandbox"
)

// manyPeers returns complete with a number of peers, half of each family.
func manyPeers(count int) Rules {
	return completeWith(func(r *Rules) {
		r.Network.IPv4.Prefix, r.Peers, r.PeerSubnets = netip.MustParsePrefix("10.0.0.0/8"), nil, nil
		for i := range count / 2 {
			r.Peers = append(r.Peers, netip.AddrFrom4([4]byte{198, byte(18 + i>>16), byte(i >> 8), byte(i)}),
				netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 12: byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}))
			r.PeerSubnets = append(r.PeerSubnets, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(64 + i>>8), byte(i), 0}), 24),
				netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 0, 0, 5, 5: 1, 6: byte(i >> 8), 7: byte(i)}), 64))
		}
	})
}

// onePeerLess returns Rules without their last peer.
func onePeerLess(r Rules) Rules {
	r.Peers, r.PeerSubnets = r.Peers[:len(r.Peers)-1], r.PeerSubnets[:len(r.PeerSubnets)-1]
	return r
}

// With 20,000 peers, a change of one writes only its elements, and a change of an interface writes only rules. The sets have no
// intervals, so the kernel uses hash tables.
func TestManyPeers(t *testing.T) {
	const count = 20000
	n, r := newCompleteNode(t), manyPeers(count)
	start := time.Now()
	n.apply(r)
	t.Logf("the first Apply took %s", time.Since(start))
	for _, s := range []string{"peers4", "peers6", "peer_subnets4", "peer_subnets6"} {
		have, err := here(n.ns, func() (snapshot, error) { return read(knownSets{}) })
		if err != nil {
			t.Fatal(err)
		}
		if set, _ := have.own.Set(s); set.Flags != 0 || len(set.Elements) != count/2 {
			t.Errorf("set %s has flags %#x and %d elements, want none and %d", s, set.Flags, len(set.Elements), count/2)
		}
	}
	n.quiet(r)
	const elements = "element inet podlane peer_subnets6 fd00:5:1:270f::\n%[1]s element inet podlane peers6 2001:db8::270f"
	for _, c := range []struct {
		rules Rules
		verb  string
	}{{onePeerLess(r), "delete"}, {r, "add"}} {
		generation := n.generation()
		start := time.Now()
		ops := n.apply(c.rules)
		t.Logf("%s one peer: %s", c.verb, time.Since(start))
		equal(t, c.verb+" one peer", words(ops), fmt.Sprintf("%[1]s "+elements, c.verb))
		if got := n.generation(); got != generation+1 {
			t.Errorf("%s one peer: the generation went from %d to %d, want one transaction", c.verb, generation, got)
		}
	}
	again, generation := r, n.generation()
	again.Bridge.Index, again.Underlay.Index, again.Overlay = 21, 22, [...]Interface{{"podlane.1", 23}, {"podlane-v6.1", 24}}
	start = time.Now()
	ops := words(n.apply(again))
	t.Logf("all interfaces created again: %s", time.Since(start))
	if got := n.generation(); got != generation+1 || strings.Contains(ops, "element") || strings.Contains(ops, "chain") || !strings.Contains(ops, `add rule inet podlane prerouting iif "pod0"`) {
		t.Errorf("all interfaces created again: %d transactions, ops\n%s", got-generation, ops)
	}
	start = time.Now()
	again.Bridge = Bridge{}
	n.apply(again)
	t.Logf("the bridge is deleted: %s", time.Since(start))
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
			fewer := onePeerLess(r)
			bench(b, r, func(w *Firewall, i int) (int, error) {
				ops, err := w.Apply(b.Context(), [...]Rules{fewer, r}[i%2])
				return len(ops), err
			}, 2)
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
