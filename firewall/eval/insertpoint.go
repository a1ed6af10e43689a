package eval

import (
	"errors"

	"github.com/podlane/podlane/nft"
)

// InsertPoint is the position of the accept rules for pods in a FORWARD chain.
type InsertPoint struct {
	Needed     bool // without the accept rules the chain drops packets of pods
	Index      int  // they belong before the rule with this index, counted from 0
	beforeDrop bool // that rule drops everything: accept rules after it have no effect
}

// Effective reports whether an accept rule at an index has an effect.
func (p InsertPoint) Effective(index int) bool { return !p.beforeDrop || index < p.Index }

// InsertPoint returns the position of the accept rules for pods in iptables-nft's FORWARD. iptables-nft writes no sets. own
// reports whether the rule at an index is podlane's.
func (c BaseChain) InsertPoint(pods []Packet, rules func(chain string) ([]nft.KernelRule, error), own func(index int) bool) InsertPoint {
	return findInsertPoint(pods, c.Name, c.policyDrops(), own, func(p Packet) *walker { return c.walker(p, rules, noSets{}) })
}

// InsertPoint returns the position of the accept rules for pods in iptables-legacy's FORWARD. own reports whether the rule at
// an index is podlane's.
func (l Listing) InsertPoint(pods []Packet, own func(index int) bool) InsertPoint {
	c := filterChains[Forwarded]
	return findInsertPoint(pods, c.name, l.policies[c.name] == "DROP", own, func(p Packet) *walker { return l.walker(p, c.hook) })
}

// findInsertPoint returns the first of these positions:
//   - directly before the first rule without a condition that ends in a drop: the operator's rules before it still apply
//   - if the policy drops, after the last rule that drops some of the packets
//   - the top
//
// podlane's own rules do not count.
func findInsertPoint(pods []Packet, chain string, policyDrops bool, own func(index int) bool, walk func(Packet) *walker) InsertPoint {
	point := InsertPoint{Needed: policyDrops && len(pods) > 0}
	afterDrops := 0
	for _, p := range pods {
		w := walk(p)
		effects, _ := w.effects(chain)
		w.budget = maxRules
		for i, e := range effects {
			if own(i) {
				continue
			}
			o := w.effect(e, 0)
			if e.unconditional && (o.rest == dropAction || o.rest == returnAction && policyDrops) {
				if !point.beforeDrop || i < point.Index {
					point = InsertPoint{Needed: true, Index: i, beforeDrop: true}
				}
				break
			}
			if o.droppedBy != "" {
				afterDrops = max(afterDrops, i+1)
			}
			if !o.continues {
				break
			}
		}
	}
	if !point.beforeDrop {
		point.Index = afterDrops
	}
	return point
}

// noSets is for rules whose sets do not matter.
type noSets struct{}

var errNoSets = errors.New("there are no sets")

func (noSets) KeyLength(string) (int, error)                   { return 0, errNoSets }
func (noSets) Element(string, []byte) (nft.Attrs, bool, error) { return nil, false, errNoSets }
