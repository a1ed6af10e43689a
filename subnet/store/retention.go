package store

import (
	"cmp"
	"slices"
	"time"

	"github.com/podlane/podlane/subnet"
)

// Retention holds the leases of peers that a store has lost, each until a time. Their nodes still run and write their leases
// again, so traffic to them must not stop. The zero Retention holds none.
type Retention struct {
	leases map[string]retained // by the key of their pod subnets
}

type retained struct {
	lease subnet.Lease
	until time.Time
}

// Add retains leases until a time. A lease that is already retained keeps its time.
func (r *Retention) Add(leases []subnet.Lease, until time.Time) {
	if r.leases == nil {
		r.leases = map[string]retained{}
	}
	for _, l := range leases {
		key := l.Pair().Key()
		if _, already := r.leases[key]; !already {
			r.leases[key] = retained{l, until}
		}
	}
}

// Prune drops the leases whose time is over, and those that replaced reports. Those are leases whose key the store has again,
// or whose pod subnet another node has.
func (r *Retention) Prune(now time.Time, replaced func(subnet.Lease) bool) {
	for key, kept := range r.leases {
		if !now.Before(kept.until) || replaced(kept.lease) {
			delete(r.leases, key)
		}
	}
}

// Next returns when the next lease must be dropped. Zero: none is retained.
func (r *Retention) Next() (at time.Time) {
	for _, kept := range r.leases {
		if at.IsZero() || kept.until.Before(at) {
			at = kept.until
		}
	}
	return at
}

// Len returns the number of retained leases.
func (r *Retention) Len() int { return len(r.leases) }

// Leases returns the retained leases in the order of their keys.
func (r *Retention) Leases() (leases []subnet.Lease) {
	for _, kept := range r.leases {
		leases = append(leases, kept.lease)
	}
	slices.SortFunc(leases, func(a, b subnet.Lease) int { return cmp.Compare(a.Pair().Key(), b.Pair().Key()) })
	return leases
}

// AddTo returns a lease set with the retained leases added. Their records have no revisions.
func (r *Retention) AddTo(set subnet.Set) subnet.Set {
	if len(r.leases) == 0 {
		return set
	}
	for _, l := range r.Leases() {
		set.Records = append(set.Records, subnet.Record{Lease: l})
	}
	slices.SortFunc(set.Records, func(a, b subnet.Record) int { return cmp.Compare(a.Pair().Key(), b.Pair().Key()) })
	return set
}
