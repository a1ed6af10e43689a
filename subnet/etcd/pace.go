package etcd

import (
	"math/rand/v2"
	"time"

	"github.com/podlane/podlane/subnet/machine"
)

// rewriteGap is the least time between two writes of the own key. If another program also writes the key, the two overwrite
// each other at most twice a second.
const rewriteGap = 500 * time.Millisecond

// freeTries is how often a node that joins may give a key back and create another one without a pause. If a hundred nodes
// join at the same time, none needs more than two. A node that needs more might never finish, and must not keep etcd busy.
const freeTries = 5

// pace decides when the own key may be written again.
type pace struct {
	notBefore time.Time
	returned  int // how many keys in a row were given back; 0 once the node holds one
}

// allow reports whether a step may be executed now. If it may and writes the own key, it sets the time of the next write.
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
