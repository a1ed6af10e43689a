package etcd

import (
	"fmt"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/podlane/podlane/subnet"
)

// Is our pod subnet still ours after etcd was restored from a snapshot?
//
// In an old snapshot our pod subnet can belong to another node, which is gone: we took it when its lease had run out. Our
// pods run on it, so we take it back. That must not hit a node that has it by right. So all of these must hold:
//
//   - We held the pod subnet, by a lease that has not run out, when the store's revision was last seen to be higher.
//   - The key is of the snapshot: its revision is at most that of the store when we first saw it gone back, and lower than
//     that of any write which is known to have come after the restore. A node that joins later has a younger key. Something
//     that we knew is in the store as it was: it is no empty one.
//   - The key has the lease of a podlaned. flannel answers no questions.
//   - Its holder was asked by claim, and has not answered within Options.AnswerTime. We ask in the holder's own name: every
//     podlaned, also an older one, answers a claim that has a mark of its own by writing the lease that it holds.
//   - The key still is what it was then: it is written by compare-and-swap.
//
// Else there is a conflict, as with any other node that has our pod subnet. A holder that is alive but cut off from etcd
// keeps its pods. When it is back, it finds our lease under its key, and it has the conflict. Of two nodes that both take the
// pod subnet for theirs, one is faster; the other finds a key younger than the snapshot.

// maxUsurpers bounds how many leases are taken back at once; without a stranger's hand there are two, one for each half.
const maxUsurpers = 8

// lower records a read that showed the store at a revision. It must be a linearizable one: a member that lags behind has
// lost nothing.
func (s *session) lower(revision int64) {
	if revision < s.seen && (s.low == 0 || revision < s.low) {
		s.low = revision
	}
}

// wentBack reports whether the store's revision is, or was since the last list, lower than one that we saw, and records to
// which revision it went back. It is asked before the list m is taken over. forked: the store has another history, and
// nobody can tell where ours ends.
func (s *session) wentBack(m *mirror, forked bool, now time.Time) (back bool) {
	s.lower(m.revision)
	revision := s.low
	s.low = 0
	if revision == 0 && !forked {
		return false
	}
	s.asking, s.told = asking{}, 0 // their revisions are of the other history
	_, open := s.usurpers()
	if revision != 0 && (open || s.hadPodSubnet(now)) {
		s.snapshot = s.snapshotOf(m, revision)
	} else {
		s.snapshot = 0
	}
	return revision != 0
}

// hadPodSubnet reports whether the own pod subnet was ours for sure by all that is known from before the list at hand.
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

// snapshotOf returns the highest revision, up to the given one, that the snapshot can have. 0: nothing that we knew is in
// the store as it was, so that it may be an empty one that other nodes have written to.
//
// What we knew of a key shows whether a write came after the restore: in our history it did not happen. A key of another
// node that was created earlier than the one we knew may be of the snapshot, or may be written again since. In doubt it was
// written since.
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

// knowledge is the revisions that are known from before the list at hand.
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

// usurpers returns the leases that keep us from our pod subnet, if all of them may be taken back.
func (s *session) usurpers() (others []subnet.Record, may bool) {
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
		if e.fault != "" || !named || e.record.Modified > s.snapshot || len(others) == maxUsurpers {
			return nil, false
		}
		others = append(others, e.record)
	}
	return others, len(others) > 0
}

// contend decides about our pod subnet while another node has it.
func (s *session) contend(other entry, now time.Time) step {
	st := step{verb: wait, conflict: s.conflict(other)}
	others, may := s.usurpers()
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
		s.regain(&st, others, now)
	}
	return st
}

// regain makes a step take the pod subnet back from leases whose holders have not answered.
func (s *session) regain(st *step, others []subnet.Record, now time.Time) {
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

// displace adds to a write of the own key that the leases of others in its way are deleted, if they still are what we
// know.
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
