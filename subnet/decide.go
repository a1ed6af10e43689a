package subnet

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Verdict is what a node without a lease does next.
type Verdict int

// The verdicts.
const (
	Create   Verdict = iota // create the key of a free pair
	TakeOver                // overwrite the existing key, by compare-and-swap: it is ours, or its holder is gone
	Ask                     // write a claim; decide again after the answer or the timeout
	Refuse                  // another live node has our public address; two nodes cannot share a tunnel address
)

// Decision holds a verdict, its object and its reason.
type Decision struct {
	Verdict Verdict
	Pair    Pair   // to create
	Record  Record // to overwrite
	Warning string // for the log; with Refuse: the reason
}

// Claim is the state of this node's question to the holders of leases that share a mark with it: are you alive?
type Claim struct {
	Revision int64  // etcd revision of the claim; 0: not written yet
	Expired  bool   // the time for an answer has run out
	Moved    []Pair // leases whose live holders answered that they now have other addresses
}

// answered reports whether the holder of a record has answered the claim. Only a live holder writes its key after the
// claim, or answers that it has another address now.
func (c Claim) answered(r Record) bool {
	return c.moved(r) || c.Revision > 0 && r.Modified > c.Revision
}

func (c Claim) moved(r Record) bool { return slices.Contains(c.Moved, r.Pair()) }

// match returns the marks that a lease shares with this node. It ignores a public address that the holder no longer has.
func (c Claim) match(self Self, r Record) match {
	m := self.match(r.Lease)
	m.address = m.address && !c.moved(r)
	return m
}

// Decide chooses the lease of a node that holds none. It is a pure function of the set and the claim. Its error wraps
// ErrFull if no pod subnet is free.
//
//   - A lease is the node's own if node id, public address and node name match. In a lease of flannel the address alone
//     decides, because flannel writes no id and no name.
//   - If only some of them match, the node must ask first. The machine may be a clone, its address recycled, or its name
//     or address changed. Decide returns Ask until all holders have answered or the time has run out.
//   - A holder that answers keeps its lease. If it has the node's public address, Decide returns Refuse.
//   - If a holder does not answer, the node overwrites its lease if the address matches, or both id and name.
func Decide(n Network, self Self, set Set, claim Claim) (Decision, error) {
	var own *Record
	var doubts []Record
	for i, r := range set.Records {
		switch {
		case self.Ours(r.Lease) && !claim.moved(r):
			own = preferred(own, &set.Records[i], n, self)
		case claim.match(self, r).count() > 0:
			doubts = append(doubts, r)
		}
	}
	if own != nil { // for the owner of a lease it does not matter if another node has the same name or id
		doubts = slices.DeleteFunc(doubts, func(r Record) bool { return !claim.match(self, r).address })
	}
	for _, r := range doubts {
		if claim.match(self, r).address && claim.answered(r) {
			return Decision{Verdict: Refuse, Warning: refusal(self, r)}, nil
		}
	}
	awaited := func(r Record) bool { return !claim.answered(r) }
	if !claim.Expired && slices.ContainsFunc(doubts, awaited) {
		return Decision{Verdict: Ask}, nil
	}
	return chooseLease(n, self, set, own, doubts, claim)
}

// preferred returns one of two leases, of which a may be nil. It prefers one that fits the network, then one with more of
// our marks, then the one that this node held last, then a.
func preferred(a, b *Record, n Network, self Self) *Record {
	rank := func(r *Record) int {
		rank := 2 * self.match(r.Lease).count()
		if n.Fits(r.Pair()) {
			rank += 8
		}
		if r.Pair() == self.Previous {
			rank++
		}
		return rank
	}
	if a == nil || rank(b) > rank(a) {
		return b
	}
	return a
}

// chooseLease decides when no answer is awaited. It prefers our own lease, then the lease of a holder that is gone, then
// a free pair of pod subnets.
func chooseLease(n Network, self Self, set Set, own *Record, doubts []Record, claim Claim) (Decision, error) {
	chosen := own
	if own == nil || !n.Fits(own.Pair()) {
		for i, r := range doubts {
			if claim.match(self, r).canTakeOver() && !claim.answered(r) {
				chosen = preferred(chosen, &doubts[i], n, self)
			}
		}
	}
	var d Decision
	var warnings []string
	if chosen != nil && n.Fits(chosen.Pair()) {
		d = Decision{Verdict: TakeOver, Record: *chosen}
	} else {
		p, err := freePair(n, self, set)
		if err != nil {
			return Decision{}, err
		}
		d = Decision{Verdict: Create, Pair: p}
		if chosen != nil {
			warnings = append(warnings, fmt.Sprintf("lease %s does not fit the network configuration: %s is used instead", chosen.Pair(), p))
		}
	}
	for _, r := range doubts {
		warnings = append(warnings, warning(self, r, claim, d))
	}
	d.Warning = strings.Join(warnings, "; ")
	return d, nil
}

func refusal(self Self, r Record) string {
	address := self.PublicIP
	if !address.IsValid() || address != r.IPv4.PublicIP {
		address = self.PublicIPv6
	}
	return fmt.Sprintf("public address %s is held by live node %s: this node, %s, cannot use it too; give it another with --public-ip or --iface",
		address, who(r.Node), who(self.Node))
}

// warning describes the decision about a lease that shares some marks with this node.
func warning(self Self, r Record, claim Claim, d Decision) string {
	state, fate := "did not answer", "left alone"
	switch {
	case claim.moved(r):
		state = "is alive at another address"
	case claim.answered(r):
		state = "is alive at " + r.PublicIP().String()
	}
	if d.Verdict == TakeOver && d.Record.Pair() == r.Pair() {
		fate = "taken over"
	}
	return fmt.Sprintf("lease %s of node %s has the %s of this node, %s, and %s: it is %s",
		r.Pair(), who(r.Node), claim.match(self, r), who(self.Node), state, fate)
}

func who(n Node) string {
	return fmt.Sprintf("%s (id %s)", cmp.Or(n.Name, "without a name"), cmp.Or(n.ID, "unknown"))
}

// freePair returns the pair that this node held last, if it is free and fits. Otherwise it chooses one. The identity
// includes the addresses, because clones share everything else.
func freePair(n Network, self Self, set Set) (Pair, error) {
	taken := set.blocking(n)
	if n.Fits(self.Previous) && !slices.ContainsFunc(taken, self.Previous.Overlaps) {
		return self.Previous, nil
	}
	p, err := Choose(n, taken, fmt.Sprint(self.Node.ID, " ", self.Node.Name, " ", self.PublicIP, " ", self.PublicIPv6))
	if errors.Is(err, ErrFull) {
		return Pair{}, fmt.Errorf("%w by %s", err, set.blockingKeys(n))
	}
	return p, err
}
