package machine

import (
	"maps"
	"slices"
	"testing"

	"github.com/podlane/podlane/subnet"
)

// newMirrorAt returns an empty mirror that is complete up to a revision.
func newMirrorAt(revision int64) *Mirror {
	m := NewMirror()
	m.Complete(revision)
	return m
}

func TestMirrorIgnoresOlderData(t *testing.T) {
	const key = Leases + "10.5.1.0-24"
	m := newMirrorAt(10)
	put := func(created, modified int64) {
		m.Put(KV{Name: key, Created: created, Modified: modified})
	}
	has := func(want int64) {
		t.Helper()
		if got := m.entries["10.5.1.0-24"].record.Modified; got != want {
			t.Errorf("modified %d, want %d", got, want)
		}
	}
	put(20, 20) // the answer to our write
	put(11, 11) // then what the watch brings later
	has(20)
	m.remove(key, 12)
	has(20)
	m.removeEarly(key, 25) // a read shows that it is gone
	put(20, 20)
	has(0)
	put(26, 26)
	has(26)
	m.Complete(30)
	if len(m.deletedAt) != 0 {
		t.Error("a deletion that the watch has brought is still stored")
	}
}

func FuzzMirror(f *testing.F) {
	f.Add("subnets/10.5.1.0-24", []byte(`{"PublicIP":"1.2.3.4","BackendType":"vxlan","BackendData":{"VtepMAC":"02:00:00:00:00:01"}}`), int64(3), true)
	f.Add("subnets/10.5.1.0-24&fd00::-64", []byte(`{`), int64(3), true)
	f.Add("claims/x", []byte(`{"NodeID":"x"}`), int64(3), false)
	f.Add("config", []byte(`{}`), int64(0), false)
	f.Add("subnets/x", []byte(``), int64(-1), false)
	f.Add("subnets/", []byte(``), int64(18), false)
	f.Fuzz(func(t *testing.T, name string, value []byte, revision int64, created bool) {
		m := newMirrorAt(1)
		kv := KV{Name: name, Value: value, Modified: revision}
		if created {
			kv.Created = revision
		}
		m.Put(kv)
		m.Put(kv)
		set := m.Set()
		if len(set.Skipped) > set.Junk || len(set.Records)+set.Junk > 2 {
			t.Errorf("set %+v", set)
		}
		m.remove(name, revision+1)
		if revision > 0 && revision < 1<<62 && len(m.entries)+len(m.claims) != 0 {
			t.Errorf("%q was not removed", name)
		}
	})
}

// The order of the keys and the cached rival are the same as computed from all entries.
func FuzzMirrorCaches(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 0x80, 0x82, 1, 0x83})
	f.Add([]byte{4, 0, 0x84, 4, 0x80, 5, 6, 0x86})
	keys := []string{"10.5.0.0-24", "10.5.1.0-24", "10.5.0.0-16", "10.5.1.128-25", "10.6.0.0-24", "10.5.1.0-24&fd00::-64", "10.7.0.0-24&fd00::-64", "10.5.9.0-24"}
	f.Fuzz(func(t *testing.T, steps []byte) {
		m := newMirrorAt(1)
		for i, step := range steps {
			key, revision := keys[int(step)%len(keys)], int64(i+2)
			if step&0x80 == 0 {
				m.Put(KV{Name: Leases + key, Modified: revision, Created: max(m.entries[key].record.Created, revision-int64(step>>4))})
			} else {
				m.remove(Leases+key, revision)
			}
			if want := slices.Sorted(maps.Keys(m.entries)); !slices.Equal(m.order, want) {
				t.Fatalf("step %d: the keys are %q, the stored order is %q", i, want, m.order)
			}
			for _, key := range []string{keys[1], keys[1], keys[int(step>>3)%len(keys)]} {
				pair, err := subnet.ParseKey(key)
				if err != nil {
					t.Fatal(err)
				}
				_, found := m.rival(pair)
				var created []int64
				for _, e := range m.entries {
					if e.pair != pair && e.pair.Overlaps(pair) {
						created = append(created, e.record.Created)
					}
				}
				rival, _ := m.rival(pair)
				if found != (len(created) > 0) || found && rival.record.Created != slices.Min(created) {
					t.Fatalf("step %d: rival of %s: %v, of those created at %v", i, key, rival, created)
				}
			}
		}
	})
}
