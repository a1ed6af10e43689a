package subnet

import (
	"slices"
	"testing"
)

func TestSetMethods(t *testing.T) {
	a, b := record(1, pair("10.5.1.0/24")), record(2, pair("10.5.2.0/24", "fd00:5:0:2::/64"))
	set := Set{Records: []Record{a, b}, Blocked: []Pair{pair("10.5.3.0/24")}}
	if got := set.Taken(); !slices.Equal(got, []Pair{pair("10.5.3.0/24"), a.Pair(), b.Pair()}) {
		t.Errorf("taken: %v", got)
	}
	if len(set.Blocked) != 1 {
		t.Error("Taken changed the set")
	}
	if got := set.Leases(); !slices.Equal(got, []Lease{a.Lease, b.Lease}) {
		t.Errorf("leases: %v", got)
	}
	if got, ok := set.Find(b.Pair()); !ok || got != b {
		t.Errorf("found %v, %v", got, ok)
	}
	if got, ok := set.Find(pair("10.5.2.0/24")); ok {
		t.Errorf("half a pair found %v", got)
	}
}
