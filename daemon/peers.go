package main

import (
	"net/netip"
	"slices"

	"github.com/sirupsen/logrus"

	"github.com/podlane/podlane/backend"
	"github.com/podlane/podlane/status"
	"github.com/podlane/podlane/subnet"
)

// peers holds the other nodes of the newest state, and how each of them is programmed.
type peers struct {
	leases      []subnet.Lease         // of all peers
	rejected    skips                  // leases of the state that are not peers, and why
	unsupported skips                  // peers that the backend does not program, and why
	degraded    map[string]status.Peer // the peers that are not programmed, or not completely, by their key
	listed      []status.Peer          // the result of statuses if all peers are programmed; nil: the peers have changed since
}

func newPeers(log logrus.FieldLogger) peers {
	return peers{rejected: skips{log: log}, unsupported: skips{log: log}}
}

// screen finds the peers in a lease set for a node with this lease and these addresses.
func (p *peers) screen(network subnet.Network, addrs []netip.Prefix, own subnet.Lease, set subnet.Set) {
	leases, skipped := subnet.Screen(network, addrs, own, set.Records)
	p.leases, p.listed = leases, nil
	p.rejected.set(slices.Concat(skipped, set.Skipped), len(skipped)+set.Junk)
}

// record records how the backend has programmed the peers.
func (p *peers) record(r backend.Report) {
	p.unsupported.set(r.Skipped, len(r.Skipped))
	p.degraded = make(map[string]status.Peer, len(r.Skipped)+len(r.Degraded))
	for _, skip := range r.Skipped {
		p.degraded[skip.Key] = status.Peer{State: status.PeerSkipped}
	}
	for _, skip := range r.Degraded {
		p.degraded[skip.Key] = status.Peer{State: status.PeerFailed, Reason: skip.Reason}
	}
}

// ofVXLAN returns the public addresses and the pod subnets of the peers with the backend VXLAN.
func (p *peers) ofVXLAN() (addrs []netip.Addr, subnets []netip.Prefix) {
	addrs, subnets = make([]netip.Addr, 0, len(p.leases)), make([]netip.Prefix, 0, len(p.leases))
	for _, l := range p.leases {
		for _, f := range subnet.Families {
			if e := l.Endpoint(f); e.PublicIP.IsValid() && l.BackendType == subnet.BackendVXLAN {
				addrs, subnets = append(addrs, e.PublicIP), append(subnets, e.Subnet)
			}
		}
	}
	return addrs, subnets
}

// count returns how many peers the backend programs.
func (p *peers) count() int { return len(p.leases) - p.unsupported.count }

// skipped returns the leases that are not programmed. It names at most subnet.MaxSkips of them.
func (p *peers) skipped() (named []subnet.Skip, count int) {
	named = slices.Concat(p.rejected.named, p.unsupported.named)
	return named[:min(len(named), subnet.MaxSkips)], p.rejected.count + p.unsupported.count
}

// statuses returns the status of each peer. While the overlay is not verified, it is unknown which of them are programmed.
func (p *peers) statuses(verified bool) []status.Peer {
	state := status.PeerPending
	if verified {
		state = status.PeerProgrammed
	}
	complete := verified && len(p.degraded) == 0
	if complete && p.listed != nil {
		return p.listed
	}
	all := make([]status.Peer, 0, len(p.leases))
	for _, l := range p.leases {
		s := status.Peer{State: state}
		if len(p.degraded) > 0 {
			if degraded, ok := p.degraded[l.Pair().Key()]; ok {
				s = degraded
			}
		}
		s.Name, s.Subnet, s.PublicIP, s.Version = l.Node.Name, status.Prefixes(l.Pair()), l.PublicIP(), l.Node.Version
		all = append(all, s)
	}
	if complete {
		p.listed = all
	}
	return all
}
