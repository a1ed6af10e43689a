package main

import (
	"net/netip"
	"time"

	"github.com/podlane/podlane/status"
	"github.com/podlane/podlane/subnet"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// readyStatus returns the status of a node without a problem, at noon.
func readyStatus() status.Status {
	return status.Status{
		Ready:    true,
		Version:  "v1",
		Node:     subnet.Node{ID: "abc", Name: "n1"},
		Underlay: status.Underlay{Interface: "eth0", MTU: 1500, PublicIP: []netip.Addr{netip.MustParseAddr("198.18.1.1")}},
		Network:  []netip.Prefix{netip.MustParsePrefix("10.5.0.0/16")},
		MTU:      1450,
		Lease:    status.Lease{Subnet: []netip.Prefix{netip.MustParsePrefix("10.5.34.0/24")}, Held: true, Expiry: noon.Add(23 * time.Hour)},
		Etcd:     &status.Etcd{Endpoints: []string{"http://198.18.0.1:2379"}, Prefix: "/podlane/network", Seen: noon.Add(-3 * time.Second), Revision: 7},
		Peers: []status.Peer{
			{Name: "n2", Subnet: []netip.Prefix{netip.MustParsePrefix("10.5.35.0/24")}, PublicIP: netip.MustParseAddr("198.18.1.2"), Version: "v1", State: status.PeerProgrammed},
			{Subnet: []netip.Prefix{netip.MustParsePrefix("10.5.36.0/24"), netip.MustParsePrefix("fd00:5:24::/64")}, PublicIP: netip.MustParseAddr("198.18.1.3"), State: status.PeerSkipped},
		},
		Verified: noon.Add(-2 * time.Second), Resync: 30 * time.Second, NodeFile: true,
	}
}

// freshStatus returns the same status, but of now.
func freshStatus() status.Status {
	s := readyStatus()
	s.Verified, s.Etcd.Seen, s.Lease.Expiry = time.Now(), time.Now(), time.Now().Add(time.Hour)
	return s
}
