package etcd

import (
	"fmt"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/podlane/podlane/subnet"
)

// Is our pod subnet still ours after a restore of etcd from a snapshot?
//
// In an old snapshot our pod subnet can belong to another node that is gone: we claimed it when its lease had run out. Our
// pods use it, so we take it back. We must not take it from a node that holds it now. So all of these must hold:
//
//   - We held the pod subnet, by a lease that has not run out, when the store's revision was last seen to be higher.
//   - The key is from the snapshot: its revision is at most that of the store when we first saw the lower revision, and
//     lower than that of any known write after the restore. A node that joins later has a younger key. At least one key that
//     we knew is unchanged in the store: the store was not empty.
//   - The key has the lease of a podlaned. flannel answers no questions.
//   - Its holder was asked by claim, and has not answered within Options.AnswerTime. We ask in the holder's own name: every
//     podlaned, also an older one, answers a claim with its own mark by writing its lease.
//   - The key has not changed since then: it is written by compare-and-swap.
//
// Otherwise there is a conflict, as with any other node that has our pod subnet. A holder that is alive but cut off from
// etcd keeps its pods. When it returns, it finds our lease under its key, and the conflict is there. If two nodes claim the
// pod subnet, one is faster; the other finds a key younger than the snapshot.

// maxReclaimed bounds how many leases are taken back at once. Normally there are at most two, one for each half.
const maxReclaimed = 8

// lower records a read of the store's revision. It must be a linearizable read: a member that lags behind has lost nothing.
func (s *session) lower(revision int64) {
	if revision < s.seen && (s.low == 0 || revision < s.low) {
		s.low = revision
	}
}

// wentBack reports whether the store's revision is, or was since the last list, lower than one that we saw, and records
// that lower revision. It is called before the list m is used. forked: the store has another history, and it is unknown
// where ours ends.
func (s *session) wentBack(m *mirror, forked bool, now time.Time) (back bool) {
	s.lower(m.revision)
	revision := s.low
	s.low = 0
	if revision == 0 && !forked {
		return false
	}
	s.asking, s.moveAnnounced = asking{}, 0 // their revisions are of the other history
	_, open := s.reclaimable()
	if revision != 0 && (open || s.hadPodSubnet(now)) {
		s.snapshot = s.snapshotOf(m, revision)
	} else {
		s.snapshot = 0
	}
	return revision != 0
}

// hadPodSubnet reports whether the pod subnet was certainly ours before the current list.
func (s *session) hadPodSubnet(now time.Time) bool {
	if s.mirror != nil {
		return s.held() && s.alive(now)
	}
	if s.saved == nil {
		return false
	}
	l, known := s.saved.Lease()
	return known && sameNode(l, s.leaseless()) && (s.saved.Expiry.IsZero() || now.Before(s.saved.Expiry))
}

// snapshotOf returns the highest revision, up to the given one, that the snapshot can have. 0: no key that we knew is
// unchanged in the store, so the store may have been empty until other nodes wrote to it.
//
// A write came after the restore if it is not in our history of the key. A key of another node that was created earlier
// than the one we knew may be from the snapshot, or may be written since. In doubt it counts as written since.
func (s *session) snapshotOf(m *mirror, revision int64) int64 {
	before := s.knowledge()
	common := before.config != 0 && m.config.revision == before.config
	for key, old := range before.keys {
		e, found := m.entries[key]
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

// knowledge holds the revisions that were known before the current list.
type knowledge struct {
	config int64 // of the network configuration
	keys   map[string]subnet.Record
	own    string // our key
}

func (s *session) knowledge() knowledge {
	h := knowledge{keys: map[string]subnet.Record{}}
	switch {
	case s.mirror != nil:
		h.config, h.own = s.mirror.config.revision, s.own.key()
		for key, e := range s.mirror.entries {
			h.keys[key] = e.record
		}
	case s.saved != nil:
		h.config, h.own = s.saved.ConfigRevision, s.saved.Own
		for _, l := range s.saved.Leases {
			h.keys[l.Key] = subnet.Record{Created: l.Created, Modified: l.Modified}
		}
	}
	return h
}

// reclaimable returns the leases that keep us from our pod subnet. may reports whether all of them may be taken back.
func (s *session) reclaimable() (others []subnet.Record, may bool) {
	if s.mirror == nil || s.snapshot == 0 {
		return nil, false
	}
	own := s.own.lease.Pair()
	for _, key := range s.mirror.order {
		e := s.mirror.entries[key]
		if e.pair != own && !s.mirror.rivals(e, own) {
			continue
		}
		named := e.record.Node.ID != "" || e.record.Node.Name != ""
		if e.fault != "" || !named || e.record.Modified > s.snapshot || len(others) == maxReclaimed {
			return nil, false
		}
		others = append(others, e.record)
	}
	return others, len(others) > 0
}

// contend decides what to do about our pod subnet while another node has it.
func (s *session) contend(other entry, now time.Time) step {
	st := step{verb: wait, conflict: s.conflict(other)}
	others, may := s.reclaimable()
	if !may {
		return st
	}
	st.conflict += ". etcd was restored from an old snapshot: podlaned asks that node, and takes the pod subnet back if it does not answer"
	switch asked := s.asking.on(podSubnet); {
	case asked.revision == 0:
		st.verb, st.others = ask, others
	case now.Before(asked.until):
		st.question, st.at = awaited, asked.until
	default:
		s.reclaim(&st, others, now)
	}
	return st
}

// reclaim changes a step to take the pod subnet back from leases whose holders have not answered.
func (s *session) reclaim(st *step, others []subnet.Record, now time.Time) {
	st.verb, st.lease, st.reserved = create, s.desired(now), s.own.reserved
	var names []string
	for _, r := range others {
		names = append(names, fmt.Sprintf("%s (id %s)", r.Node.Name, r.Node.ID))
		if r.Pair() != s.own.lease.Pair() {
			st.others = append(st.others, r)
			continue
		}
		st.verb, st.record = write, r
		st.record.TTLID = 0 // the etcd lease of its holder is not ours
	}
	st.note = fmt.Sprintf("pod subnet %s was taken back from node %s, which did not answer: etcd was restored from an old snapshot",
		s.own.lease.Pair(), strings.Join(names, " and node "))
}

// holderClaims returns the questions to the holders of leases, each in the name of the holder.
func (s *Store) holderClaims(holders []subnet.Record) (texts []claimText) {
	for _, r := range holders {
		asked := subnet.Self{Node: r.Node, PublicIP: r.IPv4.PublicIP, PublicIPv6: r.IPv6.PublicIP}
		texts = append(texts, claimText{s.prefix + "/" + claims + "restored-" + r.Pair().Key(), claimValue(asked)})
	}
	return texts
}

// displace extends a write of the own key: it also deletes the other leases that overlap it, if they have not changed.
func (s *Store) displace(others []subnet.Record, write clientv3.Op, conditions []clientv3.Cmp) (clientv3.Op, []clientv3.Cmp) {
	if len(others) == 0 {
		return write, conditions
	}
	ops := []clientv3.Op{write}
	for _, r := range others {
		key := s.leaseKey(r.Pair().Key())
		conditions = append(conditions, clientv3.Compare(clientv3.ModRevision(key), "=", r.Modified))
		ops = append(ops, clientv3.OpDelete(key))
	}
	return clientv3.OpTxn(nil, ops, nil), slices.Clip(conditions)
}
