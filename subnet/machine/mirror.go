package machine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/podlane/podlane/subnet"
)

// Mirror holds the keys of a store, parsed. It drops raw values, except for the configuration's. It is complete up to its
// revision. Single keys may be newer, because a write or a read has returned them.
type Mirror struct {
	revision  int64
	entries   map[string]entry // by the last part of the key
	order     []string         // the keys of entries, sorted
	claims    map[string]claim // by the last part of the key
	config    storedConfig
	deleted   storedConfig      // the last configuration that was deleted
	invalid   int               // how many keys under Leases are not leases
	skips     map[string]string // the first subnet.MaxSkips of them, as printed, with the reason
	partial   bool              // the store has or had keys that the mirror drops
	deletedAt map[string]int64  // keys that were deleted at a revision above the mirror's
	rivals    rivalCache
	network   subnet.Network // decides which keys a node can use; zero: not known yet
	chosenBy  subnet.Network // the last network that had the own pod subnet
}

// entry is a key that names pod subnets.
type entry struct {
	pair   subnet.Pair
	record subnet.Record // without a Lease if there is a fault
	fault  string        // why the value is not a lease
}

// storedConfig is the network configuration in the store. Revision 0: there is none.
type storedConfig struct {
	raw      []byte
	revision int64
}

// NewMirror returns an empty mirror at revision 0.
func NewMirror() *Mirror {
	return &Mirror{entries: map[string]entry{}, claims: map[string]claim{}, skips: map[string]string{}, deletedAt: map[string]int64{}}
}

// Put stores a key, unless the mirror has newer data.
func (m *Mirror) Put(kv KV) {
	if kv.Modified <= m.deletedAt[kv.Name] {
		return
	}
	if kv.Name == ConfigName {
		if kv.Modified > m.config.revision {
			m.config = storedConfig{slices.Clone(kv.Value[:min(len(kv.Value), subnet.MaxValue+1)]), kv.Modified}
		}
	} else if key, ok := strings.CutPrefix(kv.Name, claims); ok {
		if kv.Modified > m.claims[key].modified {
			m.putClaim(key, kv)
		}
	} else if key, ok := strings.CutPrefix(kv.Name, Leases); ok {
		if kv.Modified > m.entries[key].record.Modified {
			m.putEntry(key, kv)
		}
	} else {
		m.partial = true
	}
}

func (m *Mirror) putEntry(key string, kv KV) {
	pair, err := subnet.ParseKey(key)
	if err != nil {
		if kv.Created == kv.Modified || m.revision == 0 {
			m.invalid++
		}
		if printed := printable(key); m.skips[printed] != "" || len(m.skips) < subnet.MaxSkips {
			m.skips[printed] = err.Error()
		}
		m.invalid = max(m.invalid, len(m.skips))
		m.partial = true
		return
	}
	e := entry{pair: pair, record: subnet.Record{Created: kv.Created, Modified: kv.Modified, TTLID: kv.TTLID}}
	if e.record.Lease, err = subnet.ParseLease(key, kv.Value); err != nil {
		e.fault = err.Error()
	}
	if i, present := slices.BinarySearch(m.order, key); !present {
		m.order = slices.Insert(m.order, i, key)
	}
	m.entries[key] = e
	m.forgetRival(pair)
}

// printable returns the first 200 characters of a key, quoted if one of them is not printable. Any user of the store can have
// chosen the key.
func printable(key string) string {
	if strings.ContainsFunc(key, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return fmt.Sprintf("%.200q", key)
	}
	return fmt.Sprintf("%.200s", key)
}

// remove deletes a key that was deleted at a revision. A key that was written since stays.
func (m *Mirror) remove(name string, revision int64) {
	if name == ConfigName {
		if m.config.revision != 0 && revision > m.config.revision {
			m.config, m.deleted = storedConfig{}, m.config
		}
	} else if key, ok := strings.CutPrefix(name, claims); ok {
		if revision > m.claims[key].modified {
			delete(m.claims, key)
		}
	} else if key, ok := strings.CutPrefix(name, Leases); ok {
		if pair, err := subnet.ParseKey(key); err != nil {
			m.invalid = max(0, m.invalid-1)
			delete(m.skips, printable(key))
		} else if revision > m.entries[key].record.Modified {
			if i, present := slices.BinarySearch(m.order, key); present {
				m.order = slices.Delete(m.order, i, i+1)
			}
			delete(m.entries, key)
			m.forgetRival(pair)
		}
	}
}

// removeEarly deletes a key because a read or a write of ours has shown that it is deleted. The watch may still bring older
// writes of it.
func (m *Mirror) removeEarly(name string, revision int64) {
	m.remove(name, revision)
	if revision > m.revision {
		m.deletedAt[name] = revision
	}
}

// Complete records that the mirror is complete up to a revision.
func (m *Mirror) Complete(revision int64) {
	m.revision = max(m.revision, revision)
	maps.DeleteFunc(m.deletedAt, func(_ string, at int64) bool { return at <= m.revision })
}

// watched applies the events of one response of a watch. The mirror is then complete up to the last of them: a store never
// splits a revision over two responses. The revision of the response itself can be higher than that of its events while a
// watch is behind. The same holds for an answer to a progress request (etcd before 3.4.25 and 3.5.8).
func (m *Mirror) watched(events []Event) {
	for _, e := range events {
		if e.Deleted {
			m.remove(e.Name, e.Modified)
		} else {
			m.Put(e.KV)
		}
		m.Complete(e.Modified)
	}
}

// leaseKeys returns the number of keys under Leases.
func (m *Mirror) leaseKeys() int64 { return int64(len(m.entries) + m.invalid) }

// size returns the number of keys in the mirror.
func (m *Mirror) size() int64 {
	n := len(m.entries) + len(m.claims)
	if m.config.revision != 0 {
		n++
	}
	return int64(n)
}

// lastWritten returns the lease that was written last, and its revision.
func (m *Mirror) lastWritten() (key string, modified int64) {
	for k, e := range m.entries {
		if e.record.Modified > modified {
			key, modified = k, e.record.Modified
		}
	}
	return key, modified
}

// usesTTL reports whether a lease has the time to live with this id. 0 is none.
func (m *Mirror) usesTTL(id int64) bool {
	for _, e := range m.entries {
		if id != 0 && e.record.TTLID == id {
			return true
		}
	}
	return false
}

// Set returns the whole lease set. The result shares no memory with the mirror.
func (m *Mirror) Set() subnet.Set {
	s := subnet.Set{Revision: m.revision, Junk: m.invalid, Records: make([]subnet.Record, 0, len(m.entries))}
	for _, key := range slices.Sorted(maps.Keys(m.skips)) {
		s.Skipped = append(s.Skipped, subnet.Skip{Key: key, Reason: m.skips[key]})
	}
	for _, key := range m.order {
		e := m.entries[key]
		if e.fault == "" {
			s.Records = append(s.Records, e.record)
			continue
		}
		s.Blocked = append(s.Blocked, e.pair)
		s.Junk++
		if len(s.Skipped) < subnet.MaxSkips {
			s.Skipped = append(s.Skipped, subnet.Skip{Key: key, Reason: e.fault})
		}
	}
	return s
}

// newestConfig returns the last configuration that the store had. Revision 0: it had none.
func (m *Mirror) newestConfig() storedConfig {
	if m.config.revision != 0 {
		return m.config
	}
	return m.deleted
}

// describe names the holder of an entry in a sentence.
func (e entry) describe() string {
	if e.fault != "" {
		return fmt.Sprintf("%s, whose value is not a lease: %s", e.pair, e.fault)
	}
	node := "an unnamed node (flannel)"
	if e.record.Node.Name != "" {
		node = fmt.Sprintf("node %s (id %s)", e.record.Node.Name, e.record.Node.ID)
	}
	return fmt.Sprintf("%s of %s at %s", e.pair, node, e.record.PublicIP())
}

// recordOf returns the record of an entry with its pod subnets, even if its value is not a lease.
func recordOf(e entry) subnet.Record {
	r := e.record
	r.IPv4.Subnet, r.IPv6.Subnet = e.pair.IPv4, e.pair.IPv6
	return r
}
