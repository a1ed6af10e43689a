package machine

import (
	"strings"

	"github.com/podlane/podlane/subnet"
)

// Is the mirror the same as the store?

// CatchUp applies a read of the keys that were written since Machine.Revision. count is the number of all keys in the store,
// and revision is the store's. It reports whether the mirror is complete now. If it is not, only a watch can complete it.
func (m *Machine) CatchUp(written []KV, count, revision int64) (complete bool) {
	config := m.mirror.config.revision
	m.seen = revision
	m.mirror.catchUp(written, count, revision)
	if m.mirror.config.revision != config {
		m.readConfig()
	}
	return m.mirror.revision >= revision
}

// catchUp applies the keys that were written since the mirror's revision. Deleted keys are not among them. The mirror is
// complete only if it holds all keys and the store has as many: then none was deleted. A future etcd may count only the keys
// that it returns (etcd issue 18267). Then the counts differ, and the mirror is not complete.
//
// Keys under Leases that are not leases come from the watch alone. The mirror only counts them, and would count a key twice
// that comes from both.
func (m *Mirror) catchUp(written []KV, count, revision int64) {
	for _, kv := range written {
		if key, ok := strings.CutPrefix(kv.Name, Leases); ok {
			if _, err := subnet.ParseKey(key); err != nil {
				m.partial = true
				continue
			}
		}
		m.Put(kv)
	}
	if !m.partial && count == m.size() {
		m.Complete(revision)
	}
}

// Expectation is what a read of the store returns if the mirror is the same as the store.
type Expectation struct {
	Revision int64  // of the mirror
	Keys     int64  // the number of keys under Leases
	Newest   string // the name of the lease that was written last
	Written  int64  // its revision; 0: there is no lease
	Own      string // the name of the own key; empty: there is none
	OwnWrite int64  // its revision

	// Comparable reports whether the mirror is of one revision: the store can be read as it was then.
	Comparable bool
}

// Expect returns what a read of the store should return.
func (m *Machine) Expect() Expectation {
	newest, written := m.mirror.lastWritten()
	x := Expectation{Revision: m.mirror.revision, Keys: m.mirror.leaseKeys(), Newest: Leases + newest, Written: written}
	if own, present := m.ownEntry(); present {
		x.Own, x.OwnWrite = Leases+m.own.key(), own.record.Modified
	}
	// A call of ours may have shown a write or a deletion that the watch has not brought yet.
	x.Comparable = len(m.mirror.deletedAt) == 0 && written <= m.mirror.revision
	return x
}
