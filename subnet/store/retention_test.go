package store

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podlane/podlane/subnet"
)

func TestRetentionOfLostLeases(t *testing.T) {
	now := time.Now()
	lease := func(third byte) subnet.Lease {
		return subnet.Lease{IPv4: subnet.Endpoint{Subnet: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 5, third, 0}), 24)}}
	}
	a, b, c := lease(1), lease(2), lease(3)
	minutes := func(n int) time.Time { return now.Add(time.Duration(n) * time.Minute) }
	for name, row := range map[string]struct {
		add      func(*Retention)
		prune    int // minutes from now
		replaced subnet.Lease
		want     []subnet.Lease
		next     int // minutes from now; 0: none
	}{
		"none":                         {func(*Retention) {}, 0, subnet.Lease{}, nil, 0},
		"until their time":             {func(r *Retention) { r.Add([]subnet.Lease{b, a}, minutes(5)) }, 4, subnet.Lease{}, []subnet.Lease{a, b}, 5},
		"their time is over":           {func(r *Retention) { r.Add([]subnet.Lease{b, a}, minutes(5)) }, 5, subnet.Lease{}, nil, 0},
		"one is replaced":              {func(r *Retention) { r.Add([]subnet.Lease{a, b}, minutes(5)) }, 0, a, []subnet.Lease{b}, 5},
		"a second loss adds others":    {func(r *Retention) { r.Add([]subnet.Lease{a}, minutes(5)); r.Add([]subnet.Lease{c}, minutes(9)) }, 1, subnet.Lease{}, []subnet.Lease{a, c}, 5},
		"a second loss keeps the time": {func(r *Retention) { r.Add([]subnet.Lease{a}, minutes(5)); r.Add([]subnet.Lease{a}, minutes(9)) }, 5, subnet.Lease{}, nil, 0},
		"the times differ":             {func(r *Retention) { r.Add([]subnet.Lease{a}, minutes(5)); r.Add([]subnet.Lease{c}, minutes(9)) }, 6, subnet.Lease{}, []subnet.Lease{c}, 9},
	} {
		t.Run(name, func(t *testing.T) {
			var r Retention
			row.add(&r)
			r.Prune(minutes(row.prune), func(l subnet.Lease) bool { return l == row.replaced })
			equal := cmp.Comparer(func(x, y subnet.Lease) bool { return x == y })
			if diff := cmp.Diff(row.want, r.Leases(), equal); diff != "" {
				t.Errorf("retained (-want +got):\n%s", diff)
			}
			if r.Len() != len(row.want) {
				t.Errorf("%d leases, want %d", r.Len(), len(row.want))
			}
			next := time.Time{}
			if row.next > 0 {
				next = minutes(row.next)
			}
			if got := r.Next(); !got.Equal(next) {
				t.Errorf("the next time is over at %v, want %v", got, next)
			}
			known := subnet.Set{Revision: 7, Records: []subnet.Record{{Lease: lease(0), Modified: 3}, {Lease: lease(9), Modified: 4}}}
			set := r.AddTo(known)
			want := append(append([]subnet.Lease{lease(0)}, row.want...), lease(9))
			if diff := cmp.Diff(want, set.Leases(), equal); diff != "" {
				t.Errorf("set (-want +got):\n%s", diff)
			}
			if got, _ := set.Find(lease(9).Pair()); set.Revision != 7 || got.Modified != 4 {
				t.Errorf("revision %d, record %+v: want the known ones unchanged", set.Revision, got)
			}
		})
	}
}
