package backend

import "slices"

// Put is one entry to write: added, or replaced.
type Put[K comparable, V comparable] struct {
	Key     K
	Value   V
	Replace bool // the key exists with another value
}

// Changes returns what makes have equal to want: the keys to remove and the entries to put. compare orders both, so
// that the same two states always give the same writes. Changes is pure. If the states are equal, both results are
// nil and nothing is allocated.
func Changes[K, V comparable](have, want map[K]V, compare func(a, b K) int) (remove []K, put []Put[K, V]) {
	if least := len(want) - len(have); least > 0 {
		put = make([]Put[K, V], 0, least)
	}
	shared := 0
	for k, v := range want {
		old, exists := have[k]
		if exists {
			shared++
		}
		if !exists || old != v {
			put = append(put, Put[K, V]{k, v, exists})
		}
	}
	if shared < len(have) {
		for k := range have {
			if _, wanted := want[k]; !wanted {
				remove = append(remove, k)
			}
		}
	}
	slices.SortFunc(remove, compare)
	slices.SortFunc(put, func(a, b Put[K, V]) int { return compare(a.Key, b.Key) })
	return remove, put
}
