package etcd

import (
	"math/rand/v2"
	"time"

	"github.com/podlane/podlane/subnet/machine"
)

// rewriteGap is the least time between two writes of the own key, so that we never race another program that writes it.
const rewriteGap = 500 * time.Millisecond

// freeTries is how often a node that joins may give a key back and claim another one at once. A hundred nodes that join at
// the same time need at most two of them. A node that needs more might never finish, and must not keep etcd busy.
const freeTries = 5

// pace holds when to write the own key again.
type pace struct {
	notBefore time.Time
	returned  int // how many keys in a row were given back before the node held one
}

// allow reports whether a step may be executed now. If it may, the time of the next write is set.
func (p *pace) allow(st machine.Step, established bool, now time.Time) bool {
	if established {
		p.returned = 0
	}
	gap := rewriteGap
	switch {
	case !st.OwnKey():
		return true
	case !established && st.Verb == machine.GiveBack:
		p.returned++
		gap += rand.N(rewriteGap) //nolint:gosec // no secret
	case (established || p.returned > freeTries) && now.Before(p.notBefore):
		return false
	}
	p.notBefore = now.Add(gap)
	return true
}
