package subnet

import "slices"

// Record is a lease as it stands in etcd.
type Record struct {
	Lease
	Created  int64 // revision at which the key was created
	Modified int64 // revision at which it was last written: what a compare-and-swap compares
	TTLID    int64 // the etcd lease (time to live) that the key hangs on; 0: a reservation, which never expires
}

// Skip is something in etcd that was left out, and why.
type Skip struct {
	Key    string `json:"key"` // the last part of its key
	Reason string `json:"reason"`
}

// Set is the whole lease set at one revision of the store.
type Set struct {
	Revision int64
	Records  []Record // in the order of their keys
	Blocked  []Pair   // pod subnets whose key is valid and whose value is not a lease: see Network.Blocks
	Lost     []Pair   // pod subnets of leases that the store has lost and whose nodes should write them again
	Skipped  []Skip   // keys that are not leases, and values that cannot be read; the first MaxSkips of them
	Junk     int      // how many there are
}

// MaxSkips bounds how many skips a Set names, so that a store full of junk does not fill the memory.
const MaxSkips = 100

// Taken is every pair of pod subnets that has a key.
func (s Set) Taken() []Pair {
	taken := slices.Clone(s.Blocked)
	for _, r := range s.Records {
		taken = append(taken, r.Pair())
	}
	return taken
}

// Leases returns the set's leases without their records.
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
