package kubernetes

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/podlane/podlane/channel"
	"github.com/podlane/podlane/subnet"
)

// FuzzMessages sends two lease sets, as JSON. Whatever they hold, the node keeps its pod subnets once it has some, and nothing
// that other nodes could not read is announced.
func FuzzMessages(f *testing.F) {
	for _, m := range []*channel.Leases{
		message(7, []string{"10.5.2.0/24"}, announced(f, 1, "10.5.1.0-24"), flannels(f, 3, "10.5.3.0-24")),
		message(3, []string{"10.5.2.0/24", "fd00:5:0:2::/64"}, announced(f, 3, "10.5.2.0-24")),
		{Revision: 9, Losses: 1, Fault: "no configuration", Own: channel.Own{Exists: true, PodCIDRs: []string{"::/0"}, PublicIP: "0.0.0.0"}},
		{Revision: 9, Config: []byte(dualConfig), Own: channel.Own{}},
	} {
		data, err := json.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, data)
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var messages [2]channel.Leases
		if json.Unmarshal(first, &messages[0]) != nil || json.Unmarshal(second, &messages[1]) != nil || messages[0].Revision < 1 || messages[1].Revision < 1 {
			return
		}
		w := newWorld(t)
		var own subnet.Pair
		for i := range messages {
			st := w.send(&messages[i])
			if got := st.Own.Pair(); !own.IsZero() && got != own {
				t.Fatalf("the pod subnets %s became %s", own, got)
			}
			own = st.Own.Pair()
			if st.Held && st.Conflict != "" || st.Held && own.IsZero() {
				t.Errorf("held, own lease %s, conflict %q", st.Own, st.Conflict)
			}
			if own.IsZero() && st.Err == nil && st.Conflict == "" {
				t.Error("no lease, and no reason")
			}
			if len(st.Set.Skipped) > subnet.MaxSkips || !slices.IsSortedFunc(keys(st.Set), func(a, b string) int { return slices.Compare([]byte(a), []byte(b)) }) {
				t.Errorf("set %q, %d skipped", keys(st.Set), len(st.Set.Skipped))
			}
			if a, found := w.announcement(); found {
				if l, err := subnet.ParseLease(a.Lease.Key, a.Lease.Value); err != nil || !own.IsZero() && l.Pair() != own {
					t.Errorf("announced %s: %v", a.Lease.Key, err)
				}
			}
		}
	})
}
