package backend

import "slices"

// Put is one entry to be written: added, or put in the place of another value.
type Put[K comparable, V comparable] struct {
	Key     K
	Value   V
	Replace bool // the key stands with another value
}

// Changes is what makes have equal to want: the keys to remove and the entries to put, each in the order that compare
// gives the keys, so that the same two states always give the same writes. It is pure. Where the two are equal both
// are nil, and nothing is allocated.
func Changes[K, V comparable](have, want map[K]V, compare func(a, b K) int) (remove []K, put []Put[K, V]) {
	if least := len(want) - len(have); least > 0 {
		put = make([]Put[K, V], 0, least)
	}
	shared := 0
	for k, v := range want {
		old, stands := have[k]
		if stands {
			shared++
		}
		if !stands || old != v {
			put = append(put, Put[K, V]{k, v, stands})
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
