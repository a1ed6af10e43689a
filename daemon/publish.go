package main

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/podlane/podlane/backend"
	"github.com/podlane/podlane/status"
	"github.com/podlane/podlane/subnet"
)

// publish makes the status.
func (l *loop) publish() {
	s := status.Status{
		Problems: l.troubles.List(),
		Notes:    slices.Concat(l.firewall.Advice(), l.underlayNotes, l.oddities, l.state.Warnings),
		Version:  version,
		Node:     l.self.Node,
		Underlay: status.Underlay{Interface: l.iface.Name, MTU: l.iface.MTU, Trouble: l.troubles.Get("underlay")},
		Network:  l.network.Prefixes(),
		Lease: status.Lease{
			Subnet: status.Prefixes(l.state.Own.Pair()), Held: l.state.Held, Expiry: l.state.Expiry, Conflict: l.state.Conflict,
		},
		Etcd: status.Etcd{
			Endpoints: l.config.etcd.Endpoints, Prefix: l.config.etcd.Prefix,
			Seen: l.state.Seen, Revision: l.state.Set.Revision, Trouble: l.troubles.Get("etcd"),
			Watching: l.state.Watching, Lists: l.state.Lists, Losses: l.state.Losses,
		},
		Skipped: slices.Concat(l.skips.named, l.unfit.named), SkipCount: l.skips.count + l.unfit.count,
		Verified: l.verified, Resync: l.config.resync, NodeFile: l.announced,
		Trouble: l.kernelTrouble(),
		Repairs: slices.Clone(l.repairs), Repaired: l.repaired,
		Retained: l.state.Retained, Dropped: l.firewall.Dropped(),
	}
	s.Skipped = s.Skipped[:min(len(s.Skipped), subnet.MaxSkips)]
	for _, a := range []netip.Addr{l.self.PublicIP, l.self.PublicIPv6} {
		if a.IsValid() {
			s.Underlay.PublicIP = append(s.Underlay.PublicIP, a)
		}
	}
	if l.running() {
		s.MTU = l.backend.MTU()
	}
	if l.config.bridgeNetfilter {
		s.BridgeNetfilter = new(l.troubles.Get(bridgeNetfilter))
	}
	s.Peers = l.peerStates()
	if l.gateMissing != "" {
		s.Notes = append(s.Notes, l.gateMissing)
	}
	if n := l.state.Retained; n > 0 {
		s.Notes = append(s.Notes, fmt.Sprintf("etcd has lost data: %d peers that are no longer in it are kept for now", n))
	}
	if l.running() && l.state.Network != l.network {
		s.Notes = append(s.Notes, "the network configuration in etcd has changed: restart podlaned on every node to use it")
	}
	l.board.set(s)
}

// peerStates is how each peer is. As long as a trouble of the overlay stands nobody knows which of them are programmed.
func (l *loop) peerStates() (all []status.Peer) {
	state := status.PeerProgrammed
	if l.verified.IsZero() || l.troubles.Get("overlay") != "" {
		state = status.PeerPending
	}
	plain := state == status.PeerProgrammed && len(l.odd) == 0
	if plain && l.listed != nil {
		return l.listed
	}
	all = make([]status.Peer, 0, len(l.peers))
	for _, p := range l.peers {
		s := status.Peer{State: state}
		if len(l.odd) > 0 {
			if odd, ok := l.odd[p.Pair().Key()]; ok {
				s = odd
			}
		}
		s.Name, s.Subnet, s.PublicIP, s.Version = p.Node.Name, status.Prefixes(p.Pair()), p.PublicIP(), p.Node.Version
		all = append(all, s)
	}
	if plain {
		l.listed = all
	}
	return all
}

// oddPeers is the state and the reason of each peer that does not stand, by its key.
func oddPeers(r backend.Report) map[string]status.Peer {
	odd := map[string]status.Peer{}
	for _, skip := range r.Skipped {
		odd[skip.Key] = status.Peer{State: status.PeerSkipped}
	}
	for _, unwell := range r.Degraded {
		odd[unwell.Key] = status.Peer{State: status.PeerFailed, Reason: unwell.Reason}
	}
	return odd
}
