package store

import (
	"net/netip"
	"testing"

	"github.com/podlane/podlane/subnet"
)

// A flannel node has returned with another address and another pod subnet. A node that starts from its saved state programs the
// newer of the two leases, as it did before.
func TestSavedLeasesKeepTheirAge(t *testing.T) {
	network, _, err := subnet.ParseNetwork([]byte(`{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:5::/48","Backend":{"Type":"vxlan"}}`))
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
	for name, records := range map[string][]subnet.Record{"from etcd": set.Records, "saved": State{Set: set}.Save().Set().Records} {
		peers, skipped := subnet.Screen(network, nil, subnet.Lease{}, records)
		if len(peers) != 1 || peers[0] != newer || len(skipped) != 1 {
			t.Errorf("%s: peers %v, skipped %v", name, peers, skipped)
		}
	}
}
