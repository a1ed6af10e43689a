package kubernetes

import (
	"cmp"
	"slices"

	"github.com/podlane/podlane/channel"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

// parseSet parses the leases of a message. It skips and names those that it cannot parse.
func parseSet(l *channel.Leases) subnet.Set {
	set := subnet.Set{
		Revision: l.Revision, Junk: l.Junk, Records: make([]subnet.Record, 0, len(l.Leases)),
		Skipped: slices.Clone(l.Skipped[:min(len(l.Skipped), subnet.MaxSkips)]),
	}
	for _, saved := range sorted(l.Leases) {
		lease, err := subnet.ParseLease(saved.Key, saved.Value)
		if err == nil {
			// Only retained records have no revision (store.State.Save).
			set.Records = append(set.Records, subnet.Record{Lease: lease, Created: saved.Created, Modified: 1})
			continue
		}
		set.Junk++
		if len(set.Skipped) < subnet.MaxSkips {
			set.Skipped = append(set.Skipped, subnet.Skip{Key: saved.Key, Reason: err.Error()})
		}
	}
	return set
}

// sorted returns leases in the order of their keys. podlane-kube sends them so.
func sorted(leases []store.SavedLease) []store.SavedLease {
	byKey := func(a, b store.SavedLease) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Created, b.Created))
	}
	if slices.IsSortedFunc(leases, byKey) {
		return leases
	}
	leases = slices.Clone(leases)
	slices.SortStableFunc(leases, byKey)
	return leases
}
