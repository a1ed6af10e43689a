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
	Create   Verdict = iota // create the key of a free pair of pod subnets
	TakeOver                // write the existing key, by compare-and-swap: it is ours, or its holder is gone
	Ask                     // write a claim, and decide again when it is answered or its time has run out
	Refuse                  // another live node has our public address: two nodes cannot share a tunnel address
)

// Decision is a verdict with its object and its reason.
type Decision struct {
	Verdict Verdict
	Pair    Pair   // to create
	Record  Record // to take over
	Warning string // for the log; of Refuse: why
}

// Claim is the state of this node's question to the holders of leases like its own.
type Claim struct {
	Revision int64  // at which the claim was written; 0: not yet asked
	Expired  bool   // the time for an answer has run out
	Moved    []Pair // leases whose live holders have answered that they now have other addresses
}

// answered reports whether the holder of a record has answered the claim. Only a live holder writes its key after the
// claim, or answers that it has left the address.
func (c Claim) answered(r Record) bool {
	return c.moved(r) || c.Revision > 0 && r.Modified > c.Revision
}

func (c Claim) moved(r Record) bool { return slices.Contains(c.Moved, r.Pair()) }

// match returns the marks that a lease shares with this node. It ignores a public address that its holder has left.
func (c Claim) match(self Self, r Record) match {
	m := self.match(r.Lease)
	m.address = m.address && !c.moved(r)
	return m
}

// Decide chooses the lease of a node that holds none. A lease is the node's own where all of these match: node id,
// public address, node name; of a lease that flannel wrote, the address alone. Where only some match the node must ask
// first: the machine may be a clone, its address recycled, or it may have been given another name or address. A holder
// that answers keeps its lease; of one that does not, the lease is taken over where the address or the other two match.
// It is a pure function of the set and of the claim; where an answer is awaited it returns Ask again.
func Decide(n Network, self Self, set Set, claim Claim) (Decision, error) {
	var own *Record
	var doubts []Record
	for i, r := range set.Records {
		switch {
		case self.Ours(r.Lease) && !claim.moved(r):
			own = better(own, &set.Records[i], n, self)
		case claim.match(self, r).count() > 0:
			doubts = append(doubts, r)
		}
	}
	if own != nil { // a name or an id that another node has too does not matter to the owner of a lease
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
	return settle(n, self, set, own, doubts, claim)
}

// better prefers, of two leases, the one that fits the network, then the one with more of our marks, then the one held
// last, then a.
func better(a, b *Record, n Network, self Self) *Record {
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

// settle decides when nothing is awaited: for our own lease, then for one that we inherit from a holder that is gone,
// then for a fresh pair of pod subnets.
func settle(n Network, self Self, set Set, own *Record, doubts []Record, claim Claim) (Decision, error) {
	chosen := own
	if own == nil || !n.Fits(own.Pair()) {
		for i, r := range doubts {
			if claim.match(self, r).inherits() && !claim.answered(r) {
				chosen = better(chosen, &doubts[i], n, self)
			}
		}
	}
	var d Decision
	var warnings []string
	if chosen != nil && n.Fits(chosen.Pair()) {
		d = Decision{Verdict: TakeOver, Record: *chosen}
	} else {
		p, err := free(n, self, set)
		if err != nil {
			return Decision{}, err
		}
		d = Decision{Verdict: Create, Pair: p}
		if chosen != nil {
			warnings = append(warnings, fmt.Sprintf("lease %s does not fit the network configuration: %s is taken instead", chosen.Pair(), p))
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

// warning says what became of a lease that shares some marks with this node.
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

// free is the pair held last, where it is free and fits, and otherwise a freely chosen one. The addresses are part of
// the identity because clones have all the rest in common.
func free(n Network, self Self, set Set) (Pair, error) {
	taken := set.blocking(n)
	if n.Fits(self.Previous) && !slices.ContainsFunc(taken, self.Previous.Overlaps) {
		return self.Previous, nil
	}
	p, err := Choose(n, taken, fmt.Sprint(self.Node.ID, " ", self.Node.Name, " ", self.PublicIP, " ", self.PublicIPv6))
	if errors.Is(err, ErrFull) {
		return Pair{}, fmt.Errorf("%w by %s", err, set.fills(n))
	}
	return p, err
}
