package subnet

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// The test plays random histories of a small cluster. Nodes boot, are cloned, get other addresses and names, and stop
// answering; the configuration changes. No key that they create may overlap another.
func TestDecisionsNeverCreateAnOverlap(t *testing.T) {
	configs := []Network{
		network(t, `{"Network":"10.5.0.0/24","SubnetLen":28,"EnableIPv6":true,"IPv6Network":"fd00:5::/60"}`),
		network(t, `{"Network":"10.5.0.0/24","SubnetLen":27,"EnableIPv6":true,"IPv6Network":"fd00:5::/60"}`),
		network(t, `{"Network":"10.5.0.0/24","SubnetLen":28}`),
		network(t, `{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00:5::/59","IPv6SubnetLen":63}`),
	}
	verdicts := map[Verdict]int{}
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 0))
		var set Set
		revision := int64(1)
		n := configs[0]
		for range 60 {
			if r.IntN(20) == 0 {
				n = configs[r.IntN(len(configs))]
			}
			if len(set.Records) > 0 && r.IntN(10) == 0 { // a lease expires
				i := r.IntN(len(set.Records))
				set.Records = slices.Delete(set.Records, i, i+1)
			}
			self := Self{
				Node:       Node{ID: fmt.Sprint("id-", r.IntN(6)), Name: fmt.Sprint("n", r.IntN(6))},
				PublicIP:   addr(fmt.Sprint("192.0.2.", r.IntN(6))),
				PublicIPv6: addr(fmt.Sprint("2001:db8::", r.IntN(6))),
			}
			if len(set.Records) > 0 {
				self.Previous = set.Records[r.IntN(len(set.Records))].Pair()
			}
			claim := Claim{}
			for {
				before := slices.Clone(set.Records)
				d, err := Decide(n, self, set, claim)
				if !slices.Equal(before, set.Records) {
					t.Fatal("Decide changed the set")
				}
				verdicts[d.Verdict]++
				revision++
				if err == nil && d.Verdict == Ask {
					if claim.Expired {
						t.Fatalf("still asks after the claim expired: %+v", set)
					}
					claim = Claim{Revision: revision, Expired: claim.Revision > 0}
					for i := range set.Records {
						if r.IntN(2) == 0 && self.Concerns(set.Records[i].Lease) {
							revision++
							set.Records[i].Modified = revision
						}
					}
					continue
				}
				if err == nil && d.Verdict == Create {
					checkChoice(t, n, set.Taken(), d.Pair)
					set.Records = append(set.Records, Record{Lease: self.Lease(n, d.Pair, Lease{}), Created: revision, Modified: revision})
				}
				if err == nil && d.Verdict == TakeOver {
					i := slices.Index(set.Records, d.Record)
					if i < 0 || !n.Fits(d.Record.Pair()) {
						t.Fatalf("takes over %+v", d.Record)
					}
					set.Records[i].Lease, set.Records[i].Modified = self.Lease(n, d.Record.Pair(), d.Record.Lease), revision
				}
				if err == nil && d.Verdict == Refuse && d.Warning == "" {
					t.Fatal("refused without a reason")
				}
				break
			}
			slices.SortFunc(set.Records, func(a, b Record) int { return strings.Compare(a.Pair().Key(), b.Pair().Key()) })
		}
		for i, a := range set.Records {
			for _, b := range set.Records[:i] {
				if a.Pair().Overlaps(b.Pair()) {
					t.Fatalf("seed %d: %s overlaps %s", seed, a.Pair(), b.Pair())
				}
			}
		}
	}
	for _, v := range []Verdict{Create, TakeOver, Ask, Refuse} {
		if verdicts[v] < 300 {
			t.Errorf("verdict %d only %d times, want 300: the histories do not vary enough", v, verdicts[v])
		}
	}
}
