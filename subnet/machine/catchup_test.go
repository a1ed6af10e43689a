package machine

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// A mirror that catches up equals a new list, or knows that it is not complete. It is complete if no key that it knew was
// deleted. With the events of the watch it equals a new list in any case.
func FuzzCatchUp(f *testing.F) {
	f.Add([]byte{0, 1, 5}, []byte{2, 3, 1})
	f.Add([]byte{0, 1, 5}, []byte{0x81, 2})
	f.Add([]byte{0, 1}, []byte{0x81, 1, 0x83, 4})
	f.Add([]byte{0, 1}, []byte{0x80, 7, 8})
	f.Add([]byte{0, 6, 5}, []byte{0x80, 0x85, 9})
	f.Add([]byte{0, 7}, []byte{7, 0x87, 7})
	names := []string{
		Leases + "10.5.0.0-24", Leases + "10.5.1.0-24", Leases + "10.5.2.0-24", Leases + "10.5.3.0-24&fd00::-64",
		ConfigName, claims + "a", claims + "b", Leases + "x", "other", claims + strings.Repeat("c", maxClaimKey+1),
	}
	const kept = 7 // of the names
	f.Fuzz(func(t *testing.T, before, after []byte) {
		e := newImaginary(names)
		for _, step := range before {
			e.do(step)
		}
		m, known, deleted, invalid := e.list(), maps.Clone(e.keys), false, false
		for name := range e.keys {
			invalid = invalid || slices.Index(names, name) >= kept
		}
		e.events = nil
		for i, step := range after {
			name, del := e.do(step)
			_, was := known[name]
			deleted = deleted || del && was
			invalid = invalid || !del && slices.Index(names, name) >= kept
			if i%3 == 2 && slices.Index(names, name) < kept { // a call of our own shows it
				if del {
					m.removeEarly(name, e.revision)
				} else {
					m.Put(e.keys[name])
					known[name] = e.keys[name]
				}
			}
		}
		m.catchUp(e.get(m.revision+1), int64(len(e.keys)), e.revision)
		now := e.list()
		complete := m.revision == e.revision
		if !complete && !deleted && !invalid {
			t.Fatalf("nothing was deleted, and it is at revision %d of %d", m.revision, e.revision)
		}
		if complete && !m.equal(now) {
			t.Fatalf("it has %v and %v, and a list %v and %v", m.order, m.claims, now.order, now.claims)
		}
		m.watched(slices.DeleteFunc(e.events, func(ev Event) bool { return ev.Modified <= m.revision }))
		if !m.equal(now) || m.leaseKeys() != now.leaseKeys() {
			t.Fatalf("with the watch it has %v and %v, %d keys, and a list %v and %v, %d keys", m.order, m.claims, m.leaseKeys(), now.order, now.claims, now.leaseKeys())
		}
	})
}

// equal reports whether two mirrors hold the same keys.
func (m *Mirror) equal(o *Mirror) bool {
	return maps.Equal(m.entries, o.entries) && maps.Equal(m.claims, o.claims) && m.config.revision == o.config.revision && slices.Equal(m.order, o.order)
}

// imaginary is a store with a few keys.
type imaginary struct {
	names    []string
	revision int64
	keys     map[string]KV
	events   []Event
}

func newImaginary(names []string) *imaginary {
	return &imaginary{names: names, revision: 1, keys: map[string]KV{}}
}

// do writes or deletes one of the names.
func (e *imaginary) do(step byte) (name string, deletes bool) {
	name = e.names[int(step&0x7f)%len(e.names)]
	was, found := e.keys[name]
	if deletes = step&0x80 != 0; deletes {
		if found {
			e.revision++
			delete(e.keys, name)
			e.events = append(e.events, Event{Deleted: true, KV: KV{Name: name, Modified: e.revision}})
		}
		return name, true
	}
	e.revision++
	kv := KV{Name: name, Value: []byte("{}"), Created: e.revision, Modified: e.revision}
	if found {
		kv.Created = was.Created
	}
	e.keys[name] = kv
	e.events = append(e.events, Event{KV: kv})
	return name, false
}

// get returns the keys that were modified from a revision on.
func (e *imaginary) get(from int64) (kvs []KV) {
	for _, name := range e.names {
		if kv, found := e.keys[name]; found && kv.Modified >= from {
			kvs = append(kvs, kv)
		}
	}
	return kvs
}

func (e *imaginary) list() *Mirror {
	m := NewMirror()
	for _, kv := range e.get(0) {
		m.Put(kv)
	}
	m.Complete(e.revision)
	return m
}
