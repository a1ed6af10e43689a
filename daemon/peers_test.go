package main

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/podlane/podlane/backend"
	"github.com/podlane/podlane/status"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

// screenedPeers returns the peers of a state with these nodes, and the state.
func screenedPeers(t *testing.T, nodes ...int) (*peers, store.State) {
	t.Helper()
	l, _ := newTestLoop(t)
	s := stateWithPeers(t, l, nodes...)
	p := newPeers(l.log)
	p.screen(s.Network, l.underlay.iface.Addrs, s.Own, s.Set)
	return &p, s
}

func TestPeerStatuses(t *testing.T) {
	report := backend.Report{
		Skipped:  []subnet.Skip{{Key: "10.5.3.0-24", Reason: "another VNI"}},
		Degraded: []subnet.Skip{{Key: "10.5.4.0-24", Reason: "add route: invalid argument"}},
	}
	for name, c := range map[string]struct {
		report   backend.Report
		verified bool
		want     []string
		count    int
	}{
		"not verified":           {backend.Report{}, false, []string{"n2 pending", "n3 pending", "n4 pending"}, 3},
		"verified":               {backend.Report{}, true, []string{"n2 programmed", "n3 programmed", "n4 programmed"}, 3},
		"degraded":               {report, true, []string{"n2 programmed", "n3 skipped", "n4 failed: add route: invalid argument"}, 2},
		"degraded, not verified": {report, false, []string{"n2 pending", "n3 skipped", "n4 failed: add route: invalid argument"}, 2},
	} {
		p, _ := screenedPeers(t, 2, 3, 4)
		p.record(c.report)
		var got []string
		for _, s := range p.statuses(c.verified) {
			got = append(got, strings.TrimSuffix(fmt.Sprintf("%s %s: %s", s.Name, s.State, s.Reason), ": "))
		}
		if diff := gocmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if p.count() != c.count {
			t.Errorf("%s: %d peers are programmed, want %d", name, p.count(), c.count)
		}
	}
}

// A status of many peers is made once, not with each answer of the store.
func TestStatusesOfCompletePeersAreShared(t *testing.T) {
	p, s := screenedPeers(t, 2, 3)
	first, second := p.statuses(true), p.statuses(true)
	if &first[0] != &second[0] {
		t.Error("the statuses are made again although no peer has changed")
	}
	p.record(backend.Report{Skipped: []subnet.Skip{{Key: "10.5.3.0-24"}}})
	if got := p.statuses(true)[1].State; got != status.PeerSkipped {
		t.Errorf("a skipped peer is %s", got)
	}
	p.record(backend.Report{})
	s.Set.Records = s.Set.Records[:2]
	p.screen(s.Network, nil, s.Own, s.Set)
	if got := len(p.statuses(true)); got != 1 {
		t.Errorf("%d statuses after one of two peers has left", got)
	}
}

func TestSkippedLeasesAreCounted(t *testing.T) {
	p, s := screenedPeers(t, 2)
	s.Set.Skipped, s.Set.Junk = skipList(0, 100), 250
	p.screen(s.Network, nil, s.Own, s.Set)
	p.record(backend.Report{Skipped: skipList(100, 150)})
	named, count := p.skipped()
	if len(named) != subnet.MaxSkips {
		t.Errorf("%d leases are named, want %d", len(named), subnet.MaxSkips)
	}
	if count != 300 {
		t.Errorf("%d leases are counted, want 300", count)
	}
}

// A dual-stack peer has one of each in both families. A peer with another backend sends no VXLAN.
func TestPeersOfVXLAN(t *testing.T) {
	p := peers{leases: []subnet.Lease{
		{
			BackendType: subnet.BackendVXLAN,
			IPv4:        subnet.Endpoint{PublicIP: netip.MustParseAddr("198.18.1.2"), Subnet: netip.MustParsePrefix("10.5.2.0/24")},
			IPv6:        subnet.Endpoint{PublicIP: netip.MustParseAddr("fd98:18::102"), Subnet: netip.MustParsePrefix("fd00:5:0:2::/64")},
		},
		{
			BackendType: "host-gw",
			IPv4:        subnet.Endpoint{PublicIP: netip.MustParseAddr("198.18.1.3"), Subnet: netip.MustParsePrefix("10.5.3.0/24")},
		},
		{
			BackendType: subnet.BackendVXLAN,
			IPv6:        subnet.Endpoint{PublicIP: netip.MustParseAddr("fd98:18::104"), Subnet: netip.MustParsePrefix("fd00:5:0:4::/64")},
		},
	}}
	addrs, subnets := p.ofVXLAN()
	if diff := gocmp.Diff(addresses("198.18.1.2", "fd98:18::102", "fd98:18::104"), addrs, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
	want := []netip.Prefix{netip.MustParsePrefix("10.5.2.0/24"), netip.MustParsePrefix("fd00:5:0:2::/64"), netip.MustParsePrefix("fd00:5:0:4::/64")}
	if diff := gocmp.Diff(want, subnets, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("pod subnets (-want +got):\n%s", diff)
	}
}
