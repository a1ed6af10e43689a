package subnet

import "slices"

// Record is a lease with its revisions in etcd.
type Record struct {
	Lease
	Created  int64 // revision that created the key
	Modified int64 // revision that last wrote the key; compare-and-swap compares it
	TTLID    int64 // id of the etcd lease (time to live) of the key; 0: a reservation, which never expires
}

// Skip is a key in etcd that is not used, with the reason.
type Skip struct {
	Key    string `json:"key"` // the last part of the key
	Reason string `json:"reason"`
}

// Set is the whole lease set at one revision of the store.
type Set struct {
	Revision int64
	Records  []Record // in the order of their keys
	Blocked  []Pair   // pod subnets whose key is valid but whose value is not a lease: see Network.Blocks
	Lost     []Pair   // pod subnets of leases that the store lost; their nodes should write them again
	Skipped  []Skip   // keys and values that are not leases; the first MaxSkips of them
	Junk     int      // number of keys and values that are not leases
}

// MaxSkips is the maximum number of skips in a Set. So junk in the store cannot fill the memory.
const MaxSkips = 100

// Taken returns every pair of pod subnets that has a key.
func (s Set) Taken() []Pair {
	taken := slices.Clone(s.Blocked)
	for _, r := range s.Records {
		taken = append(taken, r.Pair())
	}
	return taken
}

// Leases returns the set's leases without their revisions.
func (s Set) Leases() []Lease {
	leases := make([]Lease, len(s.Records))
	for i, r := range s.Records {
		leases[i] = r.Lease
	}
	return leases
}

// Find returns the record with exactly this pair of pod subnets.
func (s Set) Find(p Pair) (Record, bool) {
	i := slices.IndexFunc(s.Records, func(r Record) bool { return r.Pair() == p })
	if i < 0 {
		return Record{}, false
	}
	return s.Records[i], true
}
