package etcd

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

// A saved state that somebody has edited ends nothing, whatever it says.
func FuzzSaved(f *testing.F) {
	f.Add([]byte(`{"config":{"Network":"10.5.0.0/16"},"revision":7,"own":"10.5.1.0-24","expiry":"2026-01-02T03:04:05Z","leases":[
		{"key":"10.5.1.0-24","value":{"PublicIP":"1.2.3.4","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:01"}}}]}`))
	f.Add([]byte(`{"revision":-1,"own":"x","leases":[{"key":"x","value":null}]}`))
	f.Add([]byte(`{"config":null,"leases":[{}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var saved store.Saved
		if json.Unmarshal(text, &saved) != nil {
			return
		}
		set := saved.Set()
		if own, ok := saved.Lease(); ok && own.Pair().Key() != saved.Own {
			t.Errorf("own %v, saved %q", own, saved.Own)
		}
		s := newSession(Options{Self: self(1), Saved: &saved})
		s.replace(newMirror(1), false, time.Now(), time.Minute)
		s.next(time.Now())
		if known := s.set(); len(known.Records) > len(set.Records) {
			t.Errorf("%d of %d leases", len(known.Records), len(set.Records))
		}
		again := store.State{Set: subnet.Set{Records: set.Records}}.Save()
		if len(again.Leases) != len(set.Records) {
			t.Errorf("%d leases saved of %d", len(again.Leases), len(set.Records))
		}
	})
}

// A flannel node has come back with another address and another pod subnet. A node that starts from its saved state programs
// the newer of the two leases, as it did before.
func TestSavedLeasesKeepTheirAge(t *testing.T) {
	network, _, err := subnet.ParseNetwork([]byte(dualConfig))
	if err != nil {
		t.Fatal(err)
	}
	lease := func(key, address string) subnet.Lease {
		pair, err := subnet.ParseKey(key)
		if err != nil {
			t.Fatal(err)
		}
		s := subnet.Self{PublicIP: netip.MustParseAddr(address), PublicIPv6: netip.MustParseAddr("2001:db8::7")}
		l := s.Lease(network, pair, subnet.Lease{})
		l.IPv4.MAC, l.IPv6.MAC = subnet.MAC{2, 0, 0, 0, 0, 4}, subnet.MAC{2, 0, 0, 0, 0, 6}
		return l
	}
	older, newer := lease("10.5.9.0-24&fd00:5:0:9::-64", "192.168.0.7"), lease("10.5.3.0-24&fd00:5:0:3::-64", "192.168.0.8")
	set := subnet.Set{Revision: 9, Records: []subnet.Record{{Lease: newer, Created: 8, Modified: 8}, {Lease: older, Created: 4, Modified: 6}}}
	for name, records := range map[string][]subnet.Record{"from etcd": set.Records, "saved": store.State{Set: set}.Save().Set().Records} {
		peers, skipped := subnet.Screen(network, nil, subnet.Lease{}, records)
		if len(peers) != 1 || peers[0] != newer || len(skipped) != 1 {
			t.Errorf("%s: peers %v, skipped %v", name, peers, skipped)
		}
	}
}
