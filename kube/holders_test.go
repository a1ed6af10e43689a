package main

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/podlane/podlane/subnet"
)

// The result is that of a comparison with each pod subnet of each other Node.
func TestHoldersFindOverlaps(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	randomPair := func() (p subnet.Pair) {
		if random.IntN(3) > 0 {
			a := netip.AddrFrom4([4]byte{10, 244, byte(random.IntN(16)), byte(random.IntN(4) << 6)})
			p.IPv4 = netip.PrefixFrom(a, 21+random.IntN(6)).Masked()
		}
		if random.IntN(3) > 0 {
			a := netip.AddrFrom16([16]byte{0xfd, 7: byte(random.IntN(32))})
			p.IPv6 = netip.PrefixFrom(a, 60+random.IntN(8)).Masked()
		}
		return p
	}
	for range 2000 {
		members := map[string]member{}
		for i := range 6 {
			members[fmt.Sprint("n", i)] = member{pair: randomPair(), former: former{pair: randomPair()}}
		}
		held := newHolders(members)
		for name, m := range members {
			for _, p := range m.subnets() {
				want := true
				for other, o := range members {
					for _, q := range o.subnets() {
						want = want && (other == name || !p.Overlaps(q))
					}
				}
				if got := held.free(p, name); got != want {
					t.Fatalf("%s of %s in %+v: free is %v", p, name, members, got)
				}
			}
		}
	}
}
