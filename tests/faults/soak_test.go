package faults

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var (
	soakFor  = flag.Duration("soak", 20*time.Second, "how long TestSoak makes faults")
	soakSeed = flag.Uint64("seed", 0, "of TestSoak's order of faults; 0: another each time")
)

// Random faults on one cluster, until the time is over. The log has the seed and how often each fault ran.
func TestSoak(t *testing.T) {
	seed := *soakSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d, for %v", seed, *soakFor)
	order := rand.New(rand.NewPCG(seed, 0))
	all := soakFaults()
	counts := map[string]int{}
	defer func() { t.Logf("faults made: %v", counts) }()
	b := makeBed(t)
	for began, i := time.Now(), 1; time.Since(began) < *soakFor; i++ {
		f := all[order.IntN(len(all))]
		counts[f.name]++
		if !t.Run(fmt.Sprintf("%d %s", i, f.name), func(t *testing.T) {
			f.run(t, b)
			b.expectRecovered(t)
		}) {
			return // later faults would only report the same
		}
	}
}

// soakFaults returns every fault on the standard cluster.
func soakFaults() []fault {
	return slices.Concat(daemonFaults, identityFaults, nodeFileFaults, clockFaults,
		entryFaults, tableFaults, deviceFaults, peerFaults, underlayFaults, keepUnderlayFaults, firewallFaults,
		etcdFaults, wipeFaults, refusalFaults, compactionFaults, ownKeyFaults, bootFaults)
}
