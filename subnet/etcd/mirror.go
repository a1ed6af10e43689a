package etcd

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/podlane/podlane/subnet"
)

// The keys under PREFIX/ that mean something. All others are passed over.
const (
	configName = "config"
	subnets    = "subnets/"
	claims     = "claims/"
)

// mirror is what stands under PREFIX/ in etcd, parsed; raw values are dropped, except for the configuration's. It is
// complete up to revision; single keys may be newer, where the answer to a write or a read of ours has shown them.
type mirror struct {
	revision int64
	entries  map[string]entry // by the last part of their key
	order    []string         // the keys of entries, sorted
	claims   map[string]claim // by the last part of their key
	config   configValue
	deleted  configValue       // the value of config before it was deleted
	strange  int               // keys under subnets/ that are not leases
	skips    map[string]string // the first subnet.MaxSkips of them, as shown: why
	partial  bool              // there were keys that are not kept here
	gone     map[string]int64  // names that are known to be gone at a revision that the watch has not reached yet
	asked    contest
	network  subnet.Network // decides which keys a node can use; the zero Network: not known yet
	chosenBy subnet.Network // the last network that had the own pod subnet; network may have been changed since
}

// contest is the last answer of rival. Between two questions about the own lease come the changes of all nodes.
type contest struct {
	known bool // it still is the answer
	pair  subnet.Pair
	rival entry
	found bool
}

// entry is a key that names pod subnets.
type entry struct {
	pair   subnet.Pair
	record subnet.Record // without a Lease where fault is set
	fault  string        // why the value is not a lease
}

// configValue is PREFIX/config; revision 0: there is none.
type configValue struct {
	raw      []byte
	revision int64
}

func newMirror(revision int64) *mirror {
	return &mirror{revision: revision, entries: map[string]entry{}, claims: map[string]claim{}, skips: map[string]string{}, gone: map[string]int64{}}
}

// put takes in a key and its value, unless what is known of it is newer. name is the key without PREFIX/.
func (m *mirror) put(name string, kv *mvccpb.KeyValue) {
	if kv.ModRevision <= m.gone[name] {
		return
	}
	if name == configName {
		if kv.ModRevision > m.config.revision {
			m.config = configValue{slices.Clone(kv.Value[:min(len(kv.Value), subnet.MaxValue+1)]), kv.ModRevision}
		}
	} else if key, ok := strings.CutPrefix(name, claims); ok {
		if kv.ModRevision > m.claims[key].modified {
			m.putClaim(key, kv)
		}
	} else if key, ok := strings.CutPrefix(name, subnets); ok {
		if kv.ModRevision > m.entries[key].record.Modified {
			m.putEntry(key, kv)
		}
	} else {
		m.partial = true
	}
}

func (m *mirror) putEntry(key string, kv *mvccpb.KeyValue) {
	pair, err := subnet.ParseKey(key)
	if err != nil {
		if kv.CreateRevision == kv.ModRevision || m.revision == 0 {
			m.strange++
		}
		if shown := show(key); m.skips[shown] != "" || len(m.skips) < subnet.MaxSkips {
			m.skips[shown] = err.Error()
		}
		m.strange = max(m.strange, len(m.skips))
		m.partial = true
		return
	}
	e := entry{pair: pair, record: subnet.Record{Created: kv.CreateRevision, Modified: kv.ModRevision, TTLID: kv.Lease}}
	if e.record.Lease, err = subnet.ParseLease(key, kv.Value); err != nil {
		e.fault = err.Error()
	}
	if i, present := slices.BinarySearch(m.order, key); !present {
		m.order = slices.Insert(m.order, i, key)
	}
	m.entries[key] = e
	m.touch(pair)
}

// show is the beginning of a key that anybody can have chosen, so that it can be kept and printed.
func show(key string) string {
	if strings.ContainsFunc(key, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return fmt.Sprintf("%.200q", key)
	}
	return fmt.Sprintf("%.200s", key)
}

// remove takes out a key that was deleted at a revision, unless it has been written since.
func (m *mirror) remove(name string, revision int64) {
	if name == configName {
		if m.config.revision != 0 && revision > m.config.revision {
			m.config, m.deleted = configValue{}, m.config
		}
	} else if key, ok := strings.CutPrefix(name, claims); ok {
		if revision > m.claims[key].modified {
			delete(m.claims, key)
		}
	} else if key, ok := strings.CutPrefix(name, subnets); ok {
		if pair, err := subnet.ParseKey(key); err != nil {
			m.strange = max(0, m.strange-1)
			delete(m.skips, show(key))
		} else if revision > m.entries[key].record.Modified {
			if i, present := slices.BinarySearch(m.order, key); present {
				m.order = slices.Delete(m.order, i, i+1)
			}
			delete(m.entries, key)
			m.touch(pair)
		}
	}
}

// forget takes out a key that a read or a write of ours has shown to be gone at a revision. The watch may still bring
// what was there before.
func (m *mirror) forget(name string, revision int64) {
	m.remove(name, revision)
	if revision > m.revision {
		m.gone[name] = revision
	}
}

// reach notes that the mirror is complete up to a revision.
func (m *mirror) reach(revision int64) {
	m.revision = max(m.revision, revision)
	maps.DeleteFunc(m.gone, func(_ string, at int64) bool { return at <= m.revision })
}

// keys is the number of keys under subnets/.
func (m *mirror) keys() int64 { return int64(len(m.entries) + m.strange) }

// size is the number of keys that are kept.
func (m *mirror) size() int64 {
	n := len(m.entries) + len(m.claims)
	if m.config.revision != 0 {
		n++
	}
	return int64(n)
}

// newest is the lease written last, and when.
func (m *mirror) newest() (key string, modified int64) {
	for k, e := range m.entries {
		if e.record.Modified > modified {
			key, modified = k, e.record.Modified
		}
	}
	return key, modified
}

// rival returns the oldest key that shares an address with a pair, is not the pair's own key, and keeps its node from the
// pair.
func (m *mirror) rival(p subnet.Pair) (rival entry, found bool) {
	if m.asked.known && m.asked.pair == p {
		return m.asked.rival, m.asked.found
	}
	for _, e := range m.entries {
		if m.rivals(e, p) && (!found || e.record.Created < rival.record.Created) {
			rival, found = e, true
		}
	}
	m.asked = contest{true, p, rival, found}
	return rival, found
}

// rivals reports whether an entry keeps the node of a pair from that pair. A joining node and a node that holds a lease
// must agree on it. If the network no longer hands out the pair, a key counts if it counted when the pair was chosen, or if
// nodes can use it now. Every key counts if the network of that time is not known.
func (m *mirror) rivals(e entry, p subnet.Pair) bool {
	if e.pair == p || !e.pair.Overlaps(p) {
		return false
	}
	blockedBy := func(n subnet.Network) bool { return n.Blocks(e.pair, e.fault == "").Overlaps(p) }
	switch {
	case m.network.Fits(p):
		return blockedBy(m.network)
	case m.chosenBy.Fits(p):
		return blockedBy(m.network) || blockedBy(m.chosenBy)
	}
	return true
}

// judgeBy sets the network configuration, and the one that the own pod subnet was chosen by.
func (m *mirror) judgeBy(n, chosenBy subnet.Network) {
	if m.network != n || m.chosenBy != chosenBy {
		m.network, m.chosenBy, m.asked.known = n, chosenBy, false
	}
}

// touch notes that the lease of a pair has changed.
func (m *mirror) touch(p subnet.Pair) {
	if m.asked.pair.Overlaps(p) {
		m.asked.known = false
	}
}

// hanging tells whether a key hangs on an etcd lease; 0 is none.
func (m *mirror) hanging(ttl int64) bool {
	for _, e := range m.entries {
		if ttl != 0 && e.record.TTLID == ttl {
			return true
		}
	}
	return false
}

// set is the whole lease set as others see it. What it returns shares nothing with the mirror.
func (m *mirror) set() subnet.Set {
	s := subnet.Set{Revision: m.revision, Junk: m.strange, Records: make([]subnet.Record, 0, len(m.entries))}
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

// byKey orders records as a Set has them.
func byKey(a, b subnet.Record) int { return cmp.Compare(a.Pair().Key(), b.Pair().Key()) }
