package machine

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/podlane/podlane/subnet"
)

// Verb is what to do next.
type Verb int

// The verbs.
const (
	Wait          Verb = iota // do nothing until something changes, or until Step.At
	Create                    // create the key of a lease
	Write                     // overwrite a record with a lease
	GiveBack                  // delete the own key
	Ask                       // write a claim: ask the holders of leases
	AskAgain                  // delete the claim, then call Next: a holder that has answered may be gone now
	AnnounceMove              // answer a claim: this node has another address now
	RestoreConfig             // write the configuration, which the store does not have
)

// Step is a verb with its objects.
type Step struct {
	Verb     Verb
	Lease    subnet.Lease    // to write, or to delete
	Record   subnet.Record   // the current record, to overwrite or to delete
	Others   []subnet.Record // with Ask: the leases whose holders to ask; with Create and Write: leases to delete
	Reserved bool            // Lease gets no time to live
	EndClaim bool            // with Wait: delete the claim, it is not needed any more
	Conflict string          // another node has our pod subnet or our address
	Err      error           // why the node waits; it lasts until something changes
	At       time.Time       // when to call Next although nothing changed; zero: never

	answer  answer
	config  []byte // to write, with RestoreConfig
	warning string // for the operator, if the step succeeds
}

// answer is the state of the answer to our claim.
type answer int

const (
	notNeeded answer = iota
	awaited          // the node waits for it
	answered         // a live holder has answered; it is asked again, because it may be gone later
)

// OwnKey reports whether the step writes or deletes the own key.
func (st Step) OwnKey() bool { return st.Verb == Create || st.Verb == Write || st.Verb == GiveBack }

// NeedsTTL reports whether the step writes the own key with a time to live.
func (st Step) NeedsTTL() bool { return (st.Verb == Create || st.Verb == Write) && !st.Reserved }

// ClaimTTL reports whether the step writes claims, which have a short time to live of their own.
func (st Step) ClaimTTL() bool { return st.Verb == Ask || st.Verb == AnnounceMove }

// LeaseName returns the name of the key of the step's lease.
func (st Step) LeaseName() string { return Leases + st.Lease.Pair().Key() }

// completeWait completes a step that waits: when to ask again, and whether the claim is still needed.
func (m *Machine) completeWait(st Step, now time.Time) Step {
	switch {
	case m.claim.revision == 0 || st.answer == awaited:
	case st.answer == answered:
		again := m.claim.until.Add(m.opts.AskEvery)
		if !now.Before(again) {
			st.Verb = AskAgain
		}
		st.At = again
	default:
		st.EndClaim = m.own.established || st.Err != nil
	}
	return st
}

// Check returns ErrInvalidLease if other nodes could not read the lease that the step writes. That is final.
func (st Step) Check() error {
	if st.Verb != Create && st.Verb != Write {
		return nil
	}
	if _, err := subnet.ParseLease(st.Lease.Pair().Key(), st.Lease.Value()); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidLease, err)
	}
	return nil
}

// Txn returns the compare-and-swap of a step. The caller executes it at once.
func (m *Machine) Txn(st Step) Txn {
	switch st.Verb {
	case Create, Write:
		return m.writeTxn(st)
	case GiveBack:
		name := st.LeaseName()
		return Txn{Compare: []Compare{{name, st.Record.Modified}}, Delete: []string{name}, Read: []string{name}}
	case Ask:
		return Txn{Put: m.claimKVs(st.Others)}
	case AnnounceMove:
		key := m.own.key()
		return Txn{Put: []KV{{Name: claims + movePrefix + key, Value: claimValue(m.self, key)}}}
	case RestoreConfig:
		return Txn{Compare: []Compare{{ConfigName, 0}}, Put: []KV{{Name: ConfigName, Value: st.config}}, Read: []string{ConfigName}}
	case Wait, AskAgain:
	}
	return Txn{}
}

// writeTxn returns the compare-and-swap that creates or overwrites the own key. A node that joins also compares the
// configuration: it must still be the one by which the node chose. The leases in st.Others are deleted, if none of them has
// changed.
func (m *Machine) writeTxn(st Step) Txn {
	name := st.LeaseName()
	m.own.tried = st.Lease
	txn := Txn{
		Compare: []Compare{{name, st.Record.Modified}},
		Put:     []KV{{Name: name, Value: st.Lease.Value()}},
		Read:    []string{name, ConfigName},
	}
	if !m.own.established {
		txn.Compare = append(txn.Compare, Compare{ConfigName, m.mirror.config.revision})
	}
	for _, r := range st.Others {
		other := Leases + r.Pair().Key()
		txn.Compare = append(txn.Compare, Compare{other, r.Modified})
		txn.Delete = append(txn.Delete, other)
	}
	txn.Read = slices.Concat(txn.Read, txn.Delete)
	return txn
}

// TTL is the time to live of the keys that a step has written: in etcd, an etcd lease. The zero TTL: they have none.
type TTL struct {
	ID     int64
	Expiry time.Time
}

// Committed records that the store has executed a step at a revision.
func (m *Machine) Committed(st Step, revision int64, ttl TTL, now time.Time) {
	switch st.Verb {
	case Create, Write:
		m.written(st, revision, ttl)
	case GiveBack:
		m.mirror.removeEarly(st.LeaseName(), revision)
		if !m.own.established {
			m.own = ownLease{}
		}
	case Ask:
		about := identity
		if len(st.Others) > 0 {
			about = podSubnet
		}
		m.claim = ownClaim{revision: revision, until: now.Add(m.opts.AnswerTime), ttlID: ttl.ID, about: about}
		return
	case AnnounceMove:
		m.moveAnnounced = revision
		return
	case RestoreConfig:
		m.mirror.Put(KV{Name: ConfigName, Value: st.config, Modified: revision})
		m.readConfig()
	case Wait, AskAgain:
	}
	m.Reached(revision)
}

// written records a write of the own key.
func (m *Machine) written(st Step, revision int64, ttl TTL) {
	if st.Reserved {
		ttl.ID = 0
	}
	for _, r := range st.Others {
		m.mirror.removeEarly(Leases+r.Pair().Key(), revision)
	}
	m.mirror.Put(KV{
		Name: st.LeaseName(), Value: st.Lease.Value(), Created: cmp.Or(st.Record.Created, revision), Modified: revision, TTLID: ttl.ID,
	})
	m.warning = cmp.Or(st.warning, m.warning)
	m.own.lease, m.own.modified = st.Lease, revision
	m.own.ttlID, m.own.reserved, m.own.expiry = ttl.ID, ttl.ID == 0, ttl.Expiry
}

// Read records one key as a read, or a compare-and-swap that failed, has returned it. found: the key exists.
func (m *Machine) Read(name string, kv KV, found bool, revision int64) {
	m.Reached(revision)
	if found {
		m.mirror.Put(kv)
	} else {
		m.mirror.removeEarly(name, revision)
	}
	if name == ConfigName {
		m.readConfig()
		if !found && m.configRestore.source == fromWatch {
			m.configRestore.source = fromList // it may have been changed before it was deleted
		}
	}
}

// Watched applies the events of one response of a watch. It reports whether the mirror lacked any of them.
func (m *Machine) Watched(events []Event, now time.Time) (news bool) {
	complete := m.mirror.revision
	events = slices.DeleteFunc(events, func(e Event) bool { return e.Modified <= complete })
	if len(events) == 0 {
		return false
	}
	config, deleted := m.mirror.config.revision, m.mirror.deleted.revision
	m.applyEvents(events, now)
	m.Reached(m.mirror.revision)
	if m.mirror.config.revision != config || m.mirror.deleted.revision != deleted {
		m.readConfig()
	}
	return true
}

// Reached records that the store has this revision.
func (m *Machine) Reached(revision int64) { m.seen = max(m.seen, revision) }

// WentBack reports whether the store's revision is lower than one that the node has seen: the store has lost data. It must
// come from a linearizable read, because a member that lags behind has lost nothing. After a loss, list everything.
func (m *Machine) WentBack(revision int64) bool {
	if revision >= m.seen {
		return false
	}
	if m.low == 0 || revision < m.low {
		m.low = revision
	}
	return true
}

// EndClaim drops our claim and returns the id of its time to live, which the caller must revoke. 0: there is no claim.
func (m *Machine) EndClaim() (ttlID int64) {
	ttlID = m.claim.ttlID
	m.claim = ownClaim{}
	return ttlID
}
