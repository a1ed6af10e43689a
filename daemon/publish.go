package main

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/podlane/podlane/subnet"
)

// publish makes the status.
func (l *loop) publish() {
	s := status{
		Problems: l.troubles.list(),
		Notes:    slices.Concat(l.advice, l.state.Warnings),
		Version:  version,
		Node:     l.self.Node,
		Underlay: underlayStatus{Interface: l.iface.Name, MTU: l.iface.MTU},
		Network:  l.network.Prefixes(),
		Lease:    leaseStatus{Subnet: halves(l.state.Own.Pair()), Held: l.state.Held, Expiry: l.state.Expiry},
		Etcd: etcdStatus{
			Endpoints: l.config.etcdEndpoints, Prefix: l.config.etcdPrefix,
			Seen: l.state.Seen, Revision: l.state.Set.Revision,
		},
		Skipped: slices.Concat(l.skips.named, l.unfit.named), SkipCount: l.skips.count + l.unfit.count,
		Verified: l.verified, Repairs: append([]repair(nil), l.repairs...), Repaired: l.repaired,
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
	unfit := map[string]bool{}
	for _, skip := range l.unfit.named {
		unfit[skip.Key] = true
	}
	for _, p := range l.peers {
		state := "programmed"
		switch {
		case len(unfit) > 0 && unfit[p.Pair().Key()]:
			state = "skipped"
		case l.verified.IsZero():
			state = "not yet"
		}
		s.Peers = append(s.Peers, peerStatus{p.Node.Name, halves(p.Pair()), p.PublicIP(), p.Node.Version, state})
	}
	if n := l.state.Retained; n > 0 {
		s.Notes = append(s.Notes, fmt.Sprintf("etcd has lost data: %d peers that are no longer in it are kept for now", n))
	}
	switch {
	case len(s.Problems) > 0:
	case l.verified.IsZero():
		s.Problems = append(s.Problems, "starting: no verified pass over the kernel yet")
	case !l.state.Held:
		s.Problems = append(s.Problems, "lease: it does not stand in etcd just now; it is put back")
	}
	if l.running() && l.state.Network != l.network {
		s.Notes = append(s.Notes, "the network configuration in etcd has changed: restart podlaned on every node to use it")
	}
	s.Ready = len(s.Problems) == 0
	l.board.set(s)
}
