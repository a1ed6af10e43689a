package main

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/podlane/podlane/backend"
	"github.com/podlane/podlane/subnet"
)

// publish makes the status.
func (l *loop) publish() {
	s := status{
		Problems: l.troubles.list(),
		Notes:    slices.Concat(l.firewall.Advice(), l.underlayNotes, l.oddities, l.state.Warnings),
		Version:  version,
		Node:     l.self.Node,
		Underlay: underlayStatus{Interface: l.iface.Name, MTU: l.iface.MTU, Trouble: l.troubles.get("underlay")},
		Network:  l.network.Prefixes(),
		Lease: leaseStatus{
			Subnet: halves(l.state.Own.Pair()), Held: l.state.Held, Expiry: l.state.Expiry, Conflict: l.state.Conflict,
		},
		Etcd: etcdStatus{
			Endpoints: l.config.etcdEndpoints, Prefix: l.config.etcdPrefix,
			Seen: l.state.Seen, Revision: l.state.Set.Revision, Trouble: l.troubles.get("etcd"),
			Watching: l.state.Watching, Lists: l.state.Lists, Losses: l.state.Losses,
		},
		Skipped: slices.Concat(l.skips.named, l.unfit.named), SkipCount: l.skips.count + l.unfit.count,
		Verified: l.verified, Resync: l.config.resync, NodeFile: l.announced,
		Trouble: l.kernelTrouble(),
		Repairs: slices.Clone(l.repairs.last), Repaired: l.repairs.count,
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
		s.BridgeNetfilter = new(l.troubles.get(bridgeNetfilter))
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
func (l *loop) peerStates() (all []peerStatus) {
	state := peerProgrammed
	if l.verified.IsZero() || l.troubles.get("overlay") != "" {
		state = peerPending
	}
	plain := state == peerProgrammed && len(l.odd) == 0
	if plain && l.listed != nil {
		return l.listed
	}
	all = make([]peerStatus, 0, len(l.peers))
	for _, p := range l.peers {
		s := peerStatus{State: state}
		if len(l.odd) > 0 {
			if odd, ok := l.odd[p.Pair().Key()]; ok {
				s = odd
			}
		}
		s.Name, s.Subnet, s.PublicIP, s.Version = p.Node.Name, halves(p.Pair()), p.PublicIP(), p.Node.Version
		all = append(all, s)
	}
	if plain {
		l.listed = all
	}
	return all
}

// oddPeers is the state and the reason of each peer that does not stand, by its key.
func oddPeers(r backend.Report) map[string]peerStatus {
	odd := map[string]peerStatus{}
	for _, skip := range r.Skipped {
		odd[skip.Key] = peerStatus{State: peerSkipped}
	}
	for _, unwell := range r.Degraded {
		odd[unwell.Key] = peerStatus{State: peerFailed, Reason: unwell.Reason}
	}
	return odd
}
