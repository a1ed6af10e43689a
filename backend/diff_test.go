package backend

import (
	"cmp"
	"maps"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

func TestChanges(t *testing.T) {
	type entries = map[string]int
	type puts = []Put[string, int]
	for name, c := range map[string]struct {
		have, want entries
		remove     []string
		put        puts
	}{
		"both empty":     {},
		"equal":          {have: entries{"a": 1, "b": 2}, want: entries{"b": 2, "a": 1}},
		"from nothing":   {want: entries{"b": 2, "a": 1}, put: puts{{"a", 1, false}, {"b", 2, false}}},
		"to nothing":     {have: entries{"b": 2, "a": 1}, remove: []string{"a", "b"}},
		"another value":  {have: entries{"a": 1}, want: entries{"a": 2}, put: puts{{"a", 2, true}}},
		"zero exists":    {have: entries{"a": 0}, want: entries{"a": 1}, put: puts{{"a", 1, true}}},
		"same number":    {have: entries{"a": 1}, want: entries{"b": 1}, remove: []string{"a"}, put: puts{{"b", 1, false}}},
		"one of each":    {have: entries{"a": 1, "b": 1, "c": 1}, want: entries{"b": 1, "c": 2, "d": 1}, remove: []string{"a"}, put: puts{{"c", 2, true}, {"d", 1, false}}},
		"absent is zero": {want: entries{"a": 0}, put: puts{{"a", 0, false}}},
	} {
		t.Run(name, func(t *testing.T) {
			remove, put := Changes(c.have, c.want, cmp.Compare)
			if diff := gocmp.Diff(c.remove, remove); diff != "" {
				t.Errorf("remove (-want +got):\n%s", diff)
			}
			if diff := gocmp.Diff(c.put, put); diff != "" {
				t.Errorf("put (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzChanges applies the changes. It checks that the result is the wanted state and that each change was needed.
func FuzzChanges(f *testing.F) {
	f.Add([]byte{1, 1, 2, 2}, []byte{2, 3, 4, 4})
	f.Add([]byte{}, []byte{0, 0})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		have, want := entriesOf(a), entriesOf(b)
		remove, put := Changes(have, want, cmp.Compare)
		got := maps.Clone(have)
		for _, k := range remove {
			if _, wanted := want[k]; wanted {
				t.Errorf("%d is removed and wanted", k)
			}
			delete(got, k)
		}
		for _, p := range put {
			if old, exists := got[p.Key]; exists != p.Replace || exists && old == p.Value {
				t.Errorf("put %+v, but the key exists: %t, with value %d", p, exists, old)
			}
			got[p.Key] = p.Value
		}
		if !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func entriesOf(b []byte) map[byte]byte {
	m := map[byte]byte{}
	for ; len(b) > 1; b = b[2:] {
		m[b[0]] = b[1]
	}
	return m
}
