package subnet

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// flannelLease returns the lease of a flannel node, which has no id. pods, v4, v6 and mac number its pod subnets, its
// addresses and its MACs.
func flannelLease(created int64, pods, v4, v6, mac int) Record {
	r := record(pods, pair(fmt.Sprintf("10.5.%d.0/24", pods), fmt.Sprintf("fd00:5:0:%x::/64", pods)))
	r.Node, r.Created = Node{}, created
	r.IPv4.PublicIP, r.IPv6.PublicIP = addr(fmt.Sprintf("198.18.1.%d", v4)), addr(fmt.Sprintf("2001:db8::%d", v6))
	r.IPv4.MAC, r.IPv6.MAC = MAC{2, 0, 0, 0, 4, byte(mac)}, MAC{2, 0, 0, 0, 6, byte(mac)}
	return r
}

func named(r Record, id, name string) Record {
	r.Node = Node{ID: id, Name: name}
	return r
}

func only(r Record, f Family) Record {
	if f == IPv4 {
		r.IPv6 = Endpoint{}
	} else {
		r.IPv4 = Endpoint{}
	}
	return r
}

// The records are in order, the oldest first. peers holds the indices of those that are used.
func TestMovedNodeUsesItsNewerLease(t *testing.T) {
	for name, c := range map[string]struct {
		records []Record
		peers   []int
	}{
		"new IPv4 address, same IPv6":       {[]Record{flannelLease(1, 2, 2, 2, 2), flannelLease(2, 3, 3, 2, 2)}, []int{1}},
		"new IPv6 address, same IPv4":       {[]Record{flannelLease(1, 2, 2, 2, 2), flannelLease(2, 3, 2, 3, 2)}, []int{1}},
		"same addresses, other pod subnet":  {[]Record{flannelLease(1, 2, 2, 2, 2), flannelLease(2, 3, 2, 2, 2)}, []int{1}},
		"IPv4 alone, other pod subnet":      {[]Record{only(flannelLease(1, 2, 2, 2, 2), IPv4), only(flannelLease(2, 3, 2, 2, 2), IPv4)}, []int{1}},
		"IPv6 alone, other pod subnet":      {[]Record{only(flannelLease(1, 2, 2, 2, 2), IPv6), only(flannelLease(2, 3, 2, 2, 2), IPv6)}, []int{1}},
		"twice":                             {[]Record{flannelLease(1, 2, 2, 2, 2), flannelLease(2, 3, 3, 2, 2), flannelLease(3, 4, 4, 2, 2)}, []int{2}},
		"back and forth":                    {[]Record{flannelLease(1, 2, 2, 2, 2), flannelLease(2, 3, 3, 2, 2), flannelLease(3, 4, 3, 4, 2)}, []int{2}},
		"a new MAC in one family":           {[]Record{flannelLease(1, 2, 2, 2, 2), with(flannelLease(2, 3, 3, 2, 2), IPv4, func(e *Endpoint) { e.MAC[5] = 9 })}, []int{1}},
		"with a new MAC":                    {[]Record{flannelLease(1, 2, 2, 2, 2), flannelLease(2, 3, 2, 2, 3)}, []int{0, 1}},
		"a clone: both addresses differ":    {[]Record{flannelLease(1, 2, 2, 2, 2), flannelLease(2, 3, 3, 3, 2)}, []int{0}},
		"a clone after the move":            {[]Record{flannelLease(1, 2, 2, 2, 2), flannelLease(2, 3, 3, 2, 2), flannelLease(3, 4, 4, 4, 2)}, []int{1}},
		"a clone before the move":           {[]Record{flannelLease(1, 2, 2, 2, 2), flannelLease(2, 4, 4, 4, 2), flannelLease(3, 3, 3, 2, 2)}, []int{2}},
		"a clone that is the oldest":        {[]Record{flannelLease(1, 4, 4, 4, 2), flannelLease(2, 2, 2, 2, 2), flannelLease(3, 3, 3, 2, 2)}, []int{0}},
		"by id and name":                    {[]Record{named(flannelLease(1, 2, 2, 2, 2), "id", "n"), named(flannelLease(2, 3, 3, 3, 2), "id", "n")}, []int{1}},
		"another id, same address":          {[]Record{named(flannelLease(1, 2, 2, 2, 2), "id", "n"), named(flannelLease(2, 3, 3, 2, 2), "id2", "n")}, []int{0}},
		"another name, same address":        {[]Record{named(flannelLease(1, 2, 2, 2, 2), "id", "n"), named(flannelLease(2, 3, 3, 2, 2), "id", "n2")}, []int{0}},
		"flannel's lease, then podlane's":   {[]Record{flannelLease(1, 2, 2, 2, 2), named(flannelLease(2, 3, 3, 2, 2), "id", "n")}, []int{1}},
		"pod subnet within its own old one": {[]Record{flannelLease(1, 2, 2, 2, 2), with(flannelLease(2, 3, 3, 2, 2), IPv4, func(e *Endpoint) { e.Subnet = prefix("10.5.2.128/25") })}, []int{0}},
		"pod subnet of a third node": {[]Record{flannelLease(1, 2, 2, 2, 2), flannelLease(2, 3, 3, 3, 3),
			with(flannelLease(3, 4, 4, 2, 2), IPv4, func(e *Endpoint) { e.Subnet = prefix("10.5.3.0/25") })}, []int{0, 1}},
		"MAC of a third node in one family": {[]Record{flannelLease(1, 2, 2, 2, 2), flannelLease(2, 3, 3, 3, 3),
			with(flannelLease(3, 4, 4, 2, 2), IPv6, func(e *Endpoint) { e.MAC[5] = 3 })}, []int{0, 1}},
		"the old pod subnet is not free for a third node": {[]Record{flannelLease(1, 2, 2, 2, 2), flannelLease(2, 3, 3, 2, 2),
			with(flannelLease(3, 4, 4, 4, 4), IPv4, func(e *Endpoint) { e.Subnet = prefix("10.5.2.0/25") })}, []int{1}},
		"newer one with an address that no node can have": {[]Record{flannelLease(1, 2, 2, 2, 2), publicIP4(flannelLease(2, 3, 3, 2, 2), "198.18.255.255")}, []int{0}},
	} {
		t.Run(name, func(t *testing.T) {
			var want []Lease
			for _, i := range c.peers {
				want = append(want, c.records[i].Lease)
			}
			peers, skipped := Screen(dualStack(t), links("198.18.1.1/16"), Lease{}, c.records)
			if d := diff(want, peers); d != "" {
				t.Errorf("peers (-want +got):\n%s\nskipped: %q", d, skipped)
			}
			if len(peers)+len(skipped) != len(c.records) {
				t.Errorf("%d peers and %d skipped leases of %d", len(peers), len(skipped), len(c.records))
			}
			reversed := slices.Clone(c.records)
			slices.Reverse(reversed)
			again, _ := Screen(dualStack(t), links("198.18.1.1/16"), Lease{}, reversed)
			slices.Reverse(again)
			if d := diff(want, again); d != "" {
				t.Errorf("peers, with the records reversed (-want +got):\n%s", d)
			}
		})
	}
}

// An older node announces the MAC that a newer node derives from its pod subnet. The newer node is still reached.
func TestOlderNodeAnnouncesTheMACOfAPodSubnet(t *testing.T) {
	for _, f := range Families {
		derived := flannelLease(2, 3, 3, 3, 3)
		mac := MACFor(derived.Endpoint(f).Subnet)
		derived = with(derived, f, func(e *Endpoint) { e.MAC = mac })
		thief := with(named(flannelLease(1, 2, 2, 2, 2), "id", "n2"), f, func(e *Endpoint) { e.MAC = mac })
		another := with(flannelLease(3, 4, 4, 4, 4), f, func(e *Endpoint) { e.MAC = mac })
		peers, skipped := Screen(dualStack(t), nil, Lease{}, []Record{thief, derived, another})
		if !slices.Equal(peers, []Lease{derived.Lease}) {
			t.Errorf("%s: peers %v", f, peers)
		}
		want := "its VTEP MAC belongs to the pod subnet of another lease, 10.5.3.0/24 and fd00:5:0:3::/64 of 198.18.1.3"
		if len(skipped) != 2 || skipped[0].Reason != want || !strings.Contains(skipped[1].Reason, "is that of an older lease, 10.5.3.0/24") {
			t.Errorf("%s: skipped %q", f, skipped)
		}
	}
}

func TestSkippedLeaseOfAMovedNodeNamesTheNewerOne(t *testing.T) {
	_, skipped := Screen(dualStack(t), nil, Lease{}, []Record{flannelLease(1, 2, 2, 2, 2), flannelLease(2, 3, 3, 2, 2)})
	want := Skip{"10.5.2.0-24&fd00:5:0:2::-64", "the same node has a newer lease, 10.5.3.0/24 and fd00:5:0:3::/64 of 198.18.1.3"}
	if len(skipped) != 1 || skipped[0] != want {
		t.Errorf("%q, want %q", skipped, want)
	}
}
