package machine

import (
	"fmt"
	"strings"
	"time"

	"github.com/podlane/podlane/subnet"
)

// Is our pod subnet still ours after a restore of etcd from a snapshot?
//
// In an old snapshot our pod subnet can belong to another node that is gone: we leased it when that lease had run out. Our
// pods use it, so we take it back. We must not take it from a node that holds it now. So all of these must be true:
//
//   - We held the pod subnet, by a lease that has not run out, when the store's revision was last seen to be higher.
//   - The key is from the snapshot. Its revision is at most that of the store when we first saw the lower revision. It is
//     also lower than that of any known write after the restore. A node that joins later has a younger key. At least one key
//     that we knew is unchanged in the store: the store was not empty.
//   - The key has the lease of a podlaned. flannel answers no claims.
//   - Its holder was asked by a claim, and has not answered within Options.AnswerTime. We ask in the holder's own name:
//     every podlaned, also an older one, answers a claim with its own marks by writing its lease.
//   - The key has not changed since then: it is written by compare-and-swap.
//
// Otherwise there is a conflict, as with any other node that has our pod subnet. A holder that is alive but cut off from
// etcd keeps its pods. When it returns, it finds our lease under its key, and there is a conflict. If two nodes want the pod
// subnet back, one is faster. The other finds a key younger than the snapshot.

// maxReclaimed bounds how many leases are taken back at once. Normally there are at most two, one for each half.
const maxReclaimed = 8

// detectRestore reports whether the store's revision is, or was since the last list, lower than one that we saw. It records
// which revisions can be of the snapshot. It is called before the list is applied. forked: the store has another history, and
// it is unknown up to which revision it is ours.
func (m *Machine) detectRestore(list *Mirror, forked bool, now time.Time) (back bool) {
	m.WentBack(list.revision)
	revision := m.low
	m.low = 0
	if revision == 0 && !forked {
		return false
	}
	m.claim, m.moveAnnounced = ownClaim{}, 0 // their revisions are of the other history
	_, open := m.reclaimable()
	if revision != 0 && (open || m.hadPodSubnet(now)) {
		m.snapshot = m.snapshotRevision(list, revision)
	} else {
		m.snapshot = 0
	}
	return revision != 0
}

// hadPodSubnet reports whether the pod subnet was certainly ours before the current list.
func (m *Machine) hadPodSubnet(now time.Time) bool {
	saved := m.opts.Saved
	if m.mirror != nil {
		return m.holds() && m.leaseValid(now)
	}
	if saved == nil {
		return false
	}
	l, known := saved.Lease()
	return known && sameNode(l, m.identityLease()) && (saved.Expiry.IsZero() || now.Before(saved.Expiry))
}

// snapshotRevision returns the highest revision, up to the given one, that the snapshot can have. 0: no key that we knew is
// unchanged in the store, so the store may have been empty until other nodes wrote to it.
//
// A write came after the restore if it is not in our history of the key. A key of another node that was created earlier
// than the one we knew may be from the snapshot, or may be written since. In doubt it counts as written since.
func (m *Machine) snapshotRevision(list *Mirror, revision int64) int64 {
	before := m.knownRevisions()
	common := before.config != 0 && list.config.revision == before.config
	for key, old := range before.keys {
		e, found := list.entries[key]
		switch now := e.record; {
		case !found || old.Created == 0:
		case now.Created == old.Created && now.Modified == old.Modified:
			common = true
		case now.Created == old.Created && now.Modified > old.Modified:
			revision = min(revision, now.Modified-1)
		case now.Created > old.Created, now.Created < old.Created && key != before.own:
			revision = min(revision, now.Created-1)
		}
	}
	if !common {
		return 0
	}
	return revision
}

// revisions holds the revisions that were known before the current list.
type revisions struct {
	config int64 // of the network configuration
	keys   map[string]subnet.Record
	own    string // our key
}

func (m *Machine) knownRevisions() revisions {
	known := revisions{keys: map[string]subnet.Record{}}
	switch saved := m.opts.Saved; {
	case m.mirror != nil:
		known.config, known.own = m.mirror.config.revision, m.own.key()
		for key, e := range m.mirror.entries {
			known.keys[key] = e.record
		}
	case saved != nil:
		known.config, known.own = saved.ConfigRevision, saved.Own
		for _, l := range saved.Leases {
			known.keys[l.Key] = subnet.Record{Created: l.Created, Modified: l.Modified}
		}
	}
	return known
}

// reclaimable returns the leases that keep us from our pod subnet. may reports whether all of them may be taken back.
func (m *Machine) reclaimable() (others []subnet.Record, may bool) {
	if m.mirror == nil || m.snapshot == 0 {
		return nil, false
	}
	own := m.own.lease.Pair()
	for _, key := range m.mirror.order {
		e := m.mirror.entries[key]
		if e.pair != own && !m.mirror.isRival(e, own) {
			continue
		}
		named := e.record.Node.ID != "" || e.record.Node.Name != ""
		if e.fault != "" || !named || e.record.Modified > m.snapshot || len(others) == maxReclaimed {
			return nil, false
		}
		others = append(others, e.record)
	}
	return others, len(others) > 0
}

// contest decides what to do about our pod subnet while another node has it.
func (m *Machine) contest(other entry, now time.Time) Step {
	st := Step{Verb: Wait, Conflict: m.conflict(other)}
	others, may := m.reclaimable()
	if !may {
		return st
	}
	st.Conflict += ". etcd was restored from an old snapshot: podlaned asks that node, and takes the pod subnet back if it does not answer"
	switch asked := m.claim.on(podSubnet); {
	case asked.revision == 0:
		st.Verb, st.Others = Ask, others
	case now.Before(asked.until):
		st.answer, st.At = awaited, asked.until
	default:
		m.reclaim(&st, others, now)
	}
	return st
}

// reclaim changes a step to take the pod subnet back from leases whose holders have not answered.
func (m *Machine) reclaim(st *Step, others []subnet.Record, now time.Time) {
	st.Verb, st.Lease, st.Reserved = Create, m.desired(now), m.own.reserved
	var names []string
	for _, r := range others {
		names = append(names, fmt.Sprintf("%s (id %s)", r.Node.Name, r.Node.ID))
		if r.Pair() != m.own.lease.Pair() {
			st.Others = append(st.Others, r)
			continue
		}
		st.Verb, st.Record = Write, r
		st.Record.TTLID = 0 // the etcd lease of its holder is not ours
	}
	st.warning = fmt.Sprintf("pod subnet %s was taken back from node %s, which did not answer: etcd was restored from an old snapshot",
		m.own.lease.Pair(), strings.Join(names, " and node "))
}
