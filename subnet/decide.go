package subnet

import (
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
	Revision int64 // at which the claim was written; 0: not yet asked
	Expired  bool  // the time for an answer has run out
}

// answered tells whether a record was written after the claim: only a live holder writes its key.
func (c Claim) answered(r Record) bool { return c.Revision > 0 && r.Modified > c.Revision }

// Decide chooses the lease of a node that holds none. A lease is the node's own where two of these three match: node
// id, public address, node name; of a lease that flannel wrote, the address alone. Where exactly one matches, the node
// must ask first, for the machine may be a clone, or its address recycled. It is a pure function of the set and of the
// claim; where an answer is awaited it returns Ask again.
func Decide(n Network, self Self, set Set, claim Claim) (Decision, error) {
	var own *Record
	var doubts []Record
	for i, r := range set.Records {
		switch {
		case self.ours(r.Lease):
			own = better(own, &set.Records[i], n, self)
		case self.match(r.Lease).count() == 1:
			doubts = append(doubts, r)
		}
	}
	if own != nil { // a name or an id that another node has too does not matter to the owner of a lease
		doubts = slices.DeleteFunc(doubts, func(r Record) bool { return !self.match(r.Lease).address })
	}
	d, pending := self.settle(doubts, claim)
	if pending || d.Verdict == Refuse {
		return d, nil
	}
	if own != nil && n.Fits(own.Pair()) {
		return Decision{Verdict: TakeOver, Record: *own, Warning: d.Warning}, nil
	}
	if d.Verdict == TakeOver && n.Fits(d.Record.Pair()) {
		return d, nil
	}
	p, err := free(n, self, set)
	return Decision{Verdict: Create, Pair: p, Warning: d.Warning}, err
}

// better prefers, of several leases of our own, one that fits the network and then the one held last.
func better(a, b *Record, n Network, self Self) *Record {
	switch {
	case a == nil:
		return b
	case n.Fits(a.Pair()) != n.Fits(b.Pair()):
		if n.Fits(a.Pair()) {
			return a
		}
		return b
	case b.Pair() == self.Previous:
		return b
	}
	return a
}

// settle goes through the leases that share exactly one mark with this node. pending: an answer must be awaited.
func (s Self) settle(doubts []Record, claim Claim) (d Decision, pending bool) {
	d.Verdict = Create
	var warnings []string
	for _, r := range doubts {
		m, alive := s.match(r.Lease), claim.answered(r)
		switch {
		case m.address && alive:
			return Decision{Verdict: Refuse, Warning: fmt.Sprintf(
				"public address %s is held by live node %s: this node, %s, cannot use it too; give it another with --public-ip or --iface",
				r.PublicIP(), who(r.Node), who(s.Node))}, false
		case !alive && !claim.Expired:
			pending = true
		case m.address:
			d.Verdict, d.Record = TakeOver, r
			warnings = append(warnings, fmt.Sprintf("lease %s: its node %s did not answer: taken over with its public address", r.Pair(), who(r.Node)))
		default:
			mark := "node id"
			if m.name {
				mark = "node name"
			}
			state := "did not answer"
			if alive {
				state = "is alive"
			}
			warnings = append(warnings, fmt.Sprintf("lease %s of node %s has the %s of this node, %s, and %s: taking a fresh pod subnet",
				r.Lease, who(r.Node), mark, who(s.Node), state))
		}
	}
	d.Warning = strings.Join(warnings, "; ")
	if pending {
		return Decision{Verdict: Ask}, true
	}
	return d, false
}

func who(n Node) string {
	if n == (Node{}) {
		return "of unknown name (flannel)"
	}
	return fmt.Sprintf("%s (id %s)", n.Name, n.ID)
}

// free is the pair held last, where it is free and fits, and otherwise a freely chosen one.
func free(n Network, self Self, set Set) (Pair, error) {
	taken := set.Taken()
	if n.Fits(self.Previous) && !slices.ContainsFunc(taken, self.Previous.Overlaps) {
		return self.Previous, nil
	}
	return Choose(n, taken, self.Node.ID+" "+self.Node.Name+" "+self.PublicIP.String())
}
