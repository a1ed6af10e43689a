package main

import (
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/podlane/podlane/subnet"
)

// orphans finds the leases whose Node is not there. A lease is a Kubernetes node's where its node id is the node's name, as
// the DaemonSet gives it, and can be one; machines outside of the cluster have their machine-id and are no concern of ours, no
// more than reservations, which the operator wrote.
func orphans(set subnet.Set, nodes map[string]bool) (list []subnet.Record) {
	for _, r := range set.Records {
		name := r.Node.Name
		if r.TTLID != 0 && r.Node.ID == name && !nodes[name] && len(validation.IsDNS1123Subdomain(name)) == 0 {
			list = append(list, r)
		}
	}
	return list
}

// retry is how long a lease is left alone that could not be released: its holder still lives.
const retry = time.Minute

// deadlines is when each orphan is to be released. It is of one look: the next look has it again, changed.
type deadlines struct {
	at   map[string]time.Time // by the key of the lease
	seen map[string]bool      // names of Nodes that were there at a look
}

// next takes in a look at the Nodes and the leases, and returns the leases that are to be released now. A Node that was there
// at an earlier look was deleted since: nothing has to be waited for. Any other may only not be back yet. Where no Node at all
// is there, that is not the cluster that this program runs in: nothing is released.
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
			at = now.Add(retry)
		}
		after.at[key] = at
	}
	return after, due
}
