package main

import (
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/podlane/podlane/subnet"
)

// orphans returns the leases whose Node does not exist. These are never orphans:
//   - The lease of a machine outside the cluster. A node's id equals its name only in the DaemonSet.
//   - A lease with a name that no Node can have.
//   - A reservation: it has no etcd lease, and is the operator's.
func orphans(set subnet.Set, nodes map[string]bool) (list []subnet.Record) {
	for _, r := range set.Records {
		name := r.Node.Name
		if r.TTLID != 0 && r.Node.ID == name && !nodes[name] && len(validation.IsDNS1123Subdomain(name)) == 0 {
			list = append(list, r)
		}
	}
	return list
}

// retryRelease is the time to the next attempt if the holder of a lease is still alive.
const retryRelease = time.Minute

// deadlines holds when each orphan is released. Each comparison returns the deadlines for the next one.
type deadlines struct {
	at   map[string]time.Time // by the key of the lease
	seen map[string]bool      // names of the Nodes that existed at the last comparison
}

// next compares the Nodes and the leases. It returns the next deadlines and the leases to release now:
//   - A Node that existed at the last comparison was deleted since: its lease is released at once.
//   - Any other missing Node may not be back yet: its lease is released after the grace.
//   - If there is no Node at all, this is not the right cluster: nothing is released.
func (d deadlines) next(nodes map[string]bool, set subnet.Set, grace time.Duration, now time.Time) (deadlines, []subnet.Record) {
	if len(nodes) == 0 {
		return d, nil
	}
	after := deadlines{at: map[string]time.Time{}, seen: map[string]bool{}}
	for name := range nodes {
		after.seen[name] = true
	}
	var due []subnet.Record
	for _, r := range orphans(set, nodes) {
		key := r.Pair().Key()
		at, known := d.at[key]
		switch {
		case !known && d.seen[r.Node.Name]:
			at = now
		case !known:
			at = now.Add(grace)
		}
		if !now.Before(at) {
			due = append(due, r)
			at = now.Add(retryRelease)
		}
		after.at[key] = at
	}
	return after, due
}
