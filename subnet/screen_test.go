package subnet

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// age returns the record with another age.
func age(created int64, r Record) Record { r.Created = created; return r }

// with returns the record with one half changed.
func with(r Record, f Family, change func(*Endpoint)) Record {
	if f == IPv4 {
		change(&r.IPv4)
	} else {
		change(&r.IPv6)
	}
	return r
}

func TestConflictingLeasesAreSkippedWithAReason(t *testing.T) {
	n := dualStack(t)
	self := record(1, pair("10.5.1.0/24", "fd00:5:0:1::/64")).Lease
	peer := record(2, pair("10.5.2.0/24", "fd00:5:0:2::/64"))
	const peerName = "10.5.2.0/24 and fd00:5:0:2::/64 of n2 (192.0.0.2)"
	for name, c := range map[string]struct {
		other  Record
		reason string
	}{
		"good":                 {record(3, pair("10.5.3.0/24", "fd00:5:0:3::/64")), ""},
		"good of another kind": {record(3, pair("10.5.3.0/25")), ""},
		"outside":              {record(3, pair("10.6.3.0/24")), "pod subnet 10.6.3.0/24 is outside the pod network 10.5.0.0/16"},
		"outside IPv6":         {record(3, pair("10.5.3.0/24", "fd00:6:0:3::/64")), "pod subnet fd00:6:0:3::/64 is outside the pod network fd00:5::/48"},
		"around the network":   {record(3, pair("10.0.0.0/8")), "pod subnet 10.0.0.0/8 is outside the pod network 10.5.0.0/16"},
		"half of ours":         {record(3, pair("10.5.1.0/24", "fd00:5:0:3::/64")), "pod subnet 10.5.1.0/24 overlaps ours, 10.5.1.0/24"},
		"the other half":       {record(3, pair("10.5.3.0/24", "fd00:5:0:1::/64")), "pod subnet fd00:5:0:1::/64 overlaps ours, fd00:5:0:1::/64"},
		"within ours":          {record(3, pair("10.5.1.64/26")), "pod subnet 10.5.1.64/26 overlaps ours, 10.5.1.0/24"},
		"around ours":          {record(3, pair("fd00:5::/60")), "pod subnet fd00:5::/60 overlaps ours, fd00:5:0:1::/64"},
		"our address":          {with(record(3, pair("10.5.3.0/24")), IPv4, func(e *Endpoint) { e.PublicIP = self.IPv4.PublicIP }), "public address 192.0.0.1 is ours"},
		"our IPv6 address":     {with(record(3, pair("fd00:5:0:3::/64")), IPv6, func(e *Endpoint) { e.PublicIP = self.IPv6.PublicIP }), "public address 2001:db8::1 is ours"},
		"our MAC":              {with(record(3, pair("10.5.3.0/24")), IPv4, func(e *Endpoint) { e.MAC = self.IPv4.MAC }), "VTEP MAC " + self.IPv4.MAC.String() + " is ours"},
		"our MAC of IPv6":      {with(record(3, pair("fd00:5:0:3::/64")), IPv6, func(e *Endpoint) { e.MAC = self.IPv6.MAC }), "VTEP MAC " + self.IPv6.MAC.String() + " is ours"},
		"our MAC of another family is on another device": {with(record(3, pair("fd00:5:0:3::/64")), IPv6, func(e *Endpoint) { e.MAC = self.IPv4.MAC }), ""},
		"a peer's subnet": {record(3, pair("10.5.2.0/24", "fd00:5:0:3::/64")), "pod subnet 10.5.2.0/24 overlaps that of an older lease, " + peerName},
		"within a peer's": {record(3, pair("10.5.2.64/26")), "pod subnet 10.5.2.64/26 overlaps that of an older lease, " + peerName},
		"around a peer's": {record(3, pair("fd00:5:0:2::/63")), "pod subnet fd00:5:0:2::/63 overlaps that of an older lease, " + peerName},
		"a peer's MAC":    {with(record(3, pair("10.5.3.0/24")), IPv4, func(e *Endpoint) { e.MAC = peer.IPv4.MAC }), "VTEP MAC " + peer.IPv4.MAC.String() + " is that of an older lease, " + peerName},
	} {
		t.Run(name, func(t *testing.T) {
			own := age(9, Record{Lease: self}) // our own lease is not a peer, even if it is the newest
			for _, records := range [][]Record{{own, peer, c.other}, {c.other, own, peer}, {peer, c.other, own}} {
				peers, skipped := Screen(n, nil, self, records)
				wantPeers := []Lease{peer.Lease, c.other.Lease}
				var wantSkipped []Skip
				if c.reason != "" {
					wantPeers, wantSkipped = wantPeers[:1], []Skip{{c.other.Pair().Key(), c.reason}}
				} else if records[0] == c.other {
					slices.Reverse(wantPeers)
				}
				if d := diff(wantPeers, peers); d != "" {
					t.Errorf("peers (-want +got):\n%s", d)
				}
				if d := diff(wantSkipped, skipped); d != "" {
					t.Errorf("skipped (-want +got):\n%s", d)
				}
			}
		})
	}
}

func TestOlderOfTwoConflictingLeasesIsUsed(t *testing.T) {
	n := dualStack(t)
	for _, c := range []struct{ older, newer Record }{
		{age(5, record(2, pair("10.5.2.0/23"))), age(6, record(3, pair("10.5.3.0/24")))},
		{age(5, record(3, pair("10.5.3.0/24"))), age(6, record(2, pair("10.5.2.0/23")))},
		// The revision is the same: the pod subnets decide.
		{age(5, record(2, pair("10.5.2.0/23"))), age(5, record(3, pair("10.5.3.0/24")))},
		{age(5, record(2, pair("10.5.2.0/24", "fd00:5:0:2::/64"))), age(5, record(3, pair("10.5.2.0/24", "fd00:5:0:3::/64")))},
	} {
		for _, records := range [][]Record{{c.older, c.newer}, {c.newer, c.older}} {
			peers, skipped := Screen(n, nil, Lease{}, records)
			if len(peers) != 1 || peers[0] != c.older.Lease || len(skipped) != 1 || skipped[0].Key != c.newer.Pair().Key() {
				t.Errorf("%v: peers %v, skipped %q", records, peers, skipped)
			}
		}
	}
}

func TestReasonNamesTheOldestConflictingLease(t *testing.T) {
	records := []Record{record(5, pair("10.5.4.0/22")), record(3, pair("10.5.5.0/24")), record(2, pair("10.5.4.0/24")), record(4, pair("10.5.6.0/24"))}
	_, skipped := Screen(dualStack(t), nil, Lease{}, records)
	if want := "pod subnet 10.5.4.0/22 overlaps that of an older lease, 10.5.4.0/24 of n2 (192.0.0.2)"; len(skipped) != 1 || skipped[0].Reason != want {
		t.Errorf("%q, want %q", skipped, want)
	}
}

// A skipped lease does not conflict with newer ones.
func TestSkippedLeaseBlocksNoOther(t *testing.T) {
	n := dualStack(t)
	a, b, c := record(2, pair("10.5.2.0/24")), record(3, pair("10.5.2.0/23", "fd00:5:0:3::/64")), record(4, pair("10.5.3.0/24", "fd00:5:0:3::/64"))
	peers, skipped := Screen(n, nil, Lease{}, []Record{a, b, c})
	if !slices.Equal(peers, []Lease{a.Lease, c.Lease}) || len(skipped) != 1 {
		t.Errorf("peers %v, skipped %q", peers, skipped)
	}
}

func TestHalvesOfAFamilyThatIsOffAreIgnored(t *testing.T) {
	n := network(t, `{"Network":"10.5.0.0/16"}`)
	self := record(1, pair("10.5.1.0/24")).Lease
	dual := record(2, pair("10.5.2.0/24", "fd00:9::/64"))
	other := record(3, pair("10.5.3.0/24", "fd00:9::/64"))
	if peers, skipped := Screen(n, nil, self, []Record{dual, other}); len(peers) != 2 || skipped != nil {
		t.Errorf("peers %v, skipped %q", peers, skipped)
	}
}

// Leases of other backends have no MAC. They do not share one.
func TestLeasesWithoutMACsDoNotConflict(t *testing.T) {
	n := dualStack(t)
	var records []Record
	for i := 2; i < 5; i++ {
		r := with(record(i, pair(fmt.Sprintf("10.5.%d.0/24", i))), IPv4, func(e *Endpoint) { e.MAC = MAC{} })
		r.BackendType = "host-gw"
		records = append(records, r)
	}
	if peers, skipped := Screen(n, nil, Lease{}, records); len(peers) != 3 || skipped != nil {
		t.Errorf("peers %v, skipped %q", peers, skipped)
	}
}

func TestNoLeases(t *testing.T) {
	if peers, skipped := Screen(dualStack(t), nil, Lease{}, nil); peers != nil || skipped != nil {
		t.Error(peers, skipped)
	}
}

// randomRecords returns hostile leases: they overlap, share MACs and are outside the network. Their pairs differ.
func randomRecords(r *rand.Rand, n Network, count int) []Record {
	var records []Record
	seen := map[Pair]bool{}
	for i, p := range randomTaken(r, n, count) {
		for _, f := range Families {
			if half := p.Half(f); half.IsValid() && half.Bits() == 0 {
				p = p.With(f, netip.Prefix{})
			}
		}
		if p.IsZero() || seen[p] {
			continue
		}
		seen[p] = true
		rec := age(int64(1+r.IntN(count)), record(i, p))
		if r.IntN(6) == 0 {
			for _, f := range Families {
				rec = with(rec, f, func(e *Endpoint) {
					if e.Subnet.IsValid() {
						e.MAC = MAC{2, 0, 0, 0, 0, byte(r.IntN(9))}
					}
				})
			}
		}
		records = append(records, rec)
	}
	return records
}

// screenSlowly is like Screen, but compares every lease with every other.
func screenSlowly(n Network, self Lease, records []Record) (peers []Lease) {
	var kept []Record
	sorted := slices.Clone(records)
	slices.SortFunc(sorted, func(a, b Record) int {
		if a.Created != b.Created {
			return int(a.Created - b.Created)
		}
		return 2*a.IPv4.Subnet.Compare(b.IPv4.Subnet) + a.IPv6.Subnet.Compare(b.IPv6.Subnet)
	})
	clash := func(a, b Lease) bool {
		for _, f := range Families {
			x, y := a.Endpoint(f), b.Endpoint(f)
			if n.Range(f).On() && x.Subnet.IsValid() && y.Subnet.IsValid() && (x.Subnet.Overlaps(y.Subnet) || x.MAC == y.MAC) {
				return true
			}
		}
		return false
	}
	for _, r := range sorted {
		good := !clash(self, r.Lease) && r.Pair() != self.Pair()
		for _, f := range Families {
			e, p := r.Endpoint(f), n.Range(f).Prefix
			if p.IsValid() && e.Subnet.IsValid() && (e.Subnet.Bits() < p.Bits()+minSubnets || !p.Contains(e.Subnet.Addr()) || e.PublicIP == self.Endpoint(f).PublicIP) {
				good = false
			}
		}
		for _, k := range kept {
			good = good && !clash(k.Lease, r.Lease)
		}
		if good {
			kept = append(kept, r)
		}
	}
	for _, r := range records {
		if slices.Contains(kept, r) {
			peers = append(peers, r.Lease)
		}
	}
	return peers
}

// checkScreen compares Screen with screenSlowly, for several orders of the records. No record may be lost.
func checkScreen(t *testing.T, r *rand.Rand, n Network, self Lease, records []Record) {
	t.Helper()
	want := screenSlowly(n, self, records)
	for range 3 {
		peers, skipped := Screen(n, nil, self, records)
		byPair := func(a, b Lease) int { return strings.Compare(a.Pair().Key(), b.Pair().Key()) }
		sorted, wantSorted := slices.SortedFunc(slices.Values(peers), byPair), slices.SortedFunc(slices.Values(want), byPair)
		if !slices.Equal(sorted, wantSorted) {
			t.Fatalf("records %v\npeers %v\nwant  %v", records, sorted, wantSorted)
		}
		own := 0
		for _, rec := range records {
			if rec.Pair() == self.Pair() {
				own++
			}
		}
		if len(peers)+len(skipped)+own != len(records) {
			t.Fatalf("%d peers, %d skipped and %d our own of %d", len(peers), len(skipped), own, len(records))
		}
		for _, s := range skipped {
			if s.Reason == "" {
				t.Fatalf("%q is skipped without a reason", s.Key)
			}
		}
		r.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
	}
}

func TestScreenAgreesWithComparingEachWithEach(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	networks := []Network{dualStack(t), network(t, `{"Network":"10.5.0.0/22"}`), network(t, `{"Network":"10.5.0.0/24","EnableIPv6":true,"IPv6Network":"fd00:5::/120"}`)}
	for i := range 2000 {
		n := networks[i%len(networks)]
		records := randomRecords(r, n, 1+r.IntN(40))
		self := Lease{}
		if len(records) > 0 && i%2 == 0 {
			self = records[r.IntN(len(records))].Lease
		}
		checkScreen(t, r, n, self, records)
	}
}

func FuzzScreen(f *testing.F) {
	for i := range uint64(5) {
		f.Add(i, i*i, 10*int(i), i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, seed1, seed2 uint64, count int, withSelf bool) {
		r := rand.New(rand.NewPCG(seed1, seed2))
		n := dualStack(t)
		records := randomRecords(r, n, 1+max(0, count%80))
		self := Lease{}
		if withSelf && len(records) > 0 {
			self = records[r.IntN(len(records))].Lease
		}
		checkScreen(t, r, n, self, records)
	})
}
