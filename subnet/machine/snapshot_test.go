package machine

import (
	"net/netip"
	"testing"
	"time"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

// What a list shows about the snapshot.
func TestWhichRevisionsCanBeOfTheSnapshot(t *testing.T) {
	pair := func(key string) subnet.Pair {
		p, err := subnet.ParseKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	type pairs map[string][2]int64 // created, modified
	list := func(config int64, keys pairs) *Mirror {
		m := newMirrorAt(100)
		m.config.revision = config
		for key, r := range keys {
			m.entries[key] = entry{pair: pair(key), record: subnet.Record{Created: r[0], Modified: r[1]}}
		}
		return m
	}
	const own, peer = "10.5.1.0-24", "10.5.2.0-24"
	before := pairs{own: {40, 50}, peer: {20, 30}}
	for name, c := range map[string]struct {
		config int64
		keys   pairs
		want   int64
	}{
		"the peer as it was":                   {0, pairs{peer: {20, 30}, own: {10, 11}}, 70},
		"the configuration as it was":          {2, pairs{own: {10, 11}}, 70},
		"nothing as it was":                    {3, pairs{own: {10, 11}}, 0},
		"an empty store":                       {0, pairs{}, 0},
		"the peer was written since":           {2, pairs{peer: {20, 60}}, 59},
		"the peer's key was created since":     {2, pairs{peer: {61, 61}}, 60},
		"the peer's key may be created since":  {2, pairs{peer: {12, 12}}, 11},
		"the own key was written since":        {2, pairs{own: {40, 55}, peer: {20, 30}}, 54},
		"the own key was created since":        {2, pairs{own: {41, 41}, peer: {20, 30}}, 40},
		"the peer as it was before it changed": {2, pairs{peer: {20, 25}}, 70},
	} {
		m := New(Options{Self: self(1)})
		m.mirror = list(2, before)
		m.own.lease.IPv4.Subnet = pair(own).IPv4
		if got := m.snapshotRevision(list(c.config, c.keys), 70); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
		saved := store.Saved{Own: own, ConfigRevision: 2}
		for key, r := range before {
			saved.Leases = append(saved.Leases, store.SavedLease{Key: key, Created: r[0], Modified: r[1]})
		}
		m = New(Options{Self: self(1), Saved: &saved})
		if got := m.snapshotRevision(list(c.config, c.keys), 70); got != c.want {
			t.Errorf("%s, by the saved state: %d, want %d", name, got, c.want)
		}
	}
}

// Only a pod subnet that was ours by a valid lease is taken back.
func TestOnlyAPodSubnetThatWasOursIsTakenBack(t *testing.T) {
	network, _, err := subnet.ParseNetwork([]byte(oneSubnet))
	if err != nil {
		t.Fatal(err)
	}
	pair := subnet.Pair{IPv4: netip.MustParsePrefix("10.5.4.0/24")}
	mine, others := self(1).Lease(network, pair, subnet.Lease{}), self(9).Lease(network, pair, subnet.Lease{})
	now := time.Now()
	for name, c := range map[string]struct {
		before subnet.Lease
		expiry time.Time
		want   bool
	}{
		"ours":             {mine, now.Add(time.Hour), true},
		"it has run out":   {mine, now.Add(-time.Second), false},
		"it was another's": {others, now.Add(time.Hour), false},
	} {
		list := func(revision int64, l subnet.Lease) *Mirror {
			m := newMirrorAt(revision)
			m.config = storedConfig{[]byte(oneSubnet), 2}
			m.entries[pair.Key()] = entry{pair: pair, record: subnet.Record{Lease: l, Created: revision, Modified: revision}}
			m.order = []string{pair.Key()}
			return m
		}
		m := New(Options{Self: self(1)})
		m.network = network
		m.mirror, m.seen = list(80, c.before), 80
		m.own = ownLease{lease: mine, tried: mine, established: true, modified: 80, expiry: c.expiry}
		m.Replace(list(20, others), false, now)
		st := m.Next(now)
		if got := st.Verb == Ask; got != c.want || st.Conflict == "" {
			t.Errorf("%s: asks %v, conflict %q", name, got, st.Conflict)
		}
		// By the saved state.
		saved := store.Saved{Config: []byte(oneSubnet), Revision: 80, Own: pair.Key(), Expiry: c.expiry, ConfigRevision: 2,
			Leases: []store.SavedLease{{Key: pair.Key(), Value: c.before.Value(), Created: 80, Modified: 80}}}
		opts := Options{Self: self(1), Saved: &saved}
		opts.Self.InUse = true
		opts.Self.Previous = pair
		m = New(opts)
		m.Replace(list(20, others), false, now)
		if st := m.Next(now); (st.Verb == Ask) != c.want || st.Conflict == "" {
			t.Errorf("%s, by the saved state: verb %v, conflict %q, %v", name, st.Verb, st.Conflict, st.Err)
		}
	}
}
