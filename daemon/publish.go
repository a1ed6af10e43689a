package main

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/podlane/podlane/status"
)

// publish publishes the current status.
func (l *loop) publish() {
	s := status.Status{
		Problems: l.problems.List(),
		Notes:    l.notes(),
		Version:  version,
		Node:     l.underlay.self.Node,
		Underlay: status.Underlay{Interface: l.underlay.iface.Name, MTU: l.underlay.iface.MTU, Trouble: l.problems.Get("underlay")},
		Network:  l.network.Prefixes(),
		Lease: status.Lease{
			Subnet: status.Prefixes(l.state.Own.Pair()), Held: l.state.Held, Expiry: l.state.Expiry, Conflict: l.state.Conflict,
		},
		Store:    string(l.config.store),
		Verified: l.kernel.verified, Resync: l.config.resync, NodeFile: l.files.written,
		Trouble: l.kernelProblem(),
		Repairs: slices.Clone(l.repairs.last), Repaired: l.repairs.count,
		Retained: l.state.Retained, Dropped: l.firewall.Dropped(),
	}
	l.publishStore(&s)
	s.Skipped, s.SkipCount = l.peers.skipped()
	for _, a := range []netip.Addr{l.underlay.self.PublicIP, l.underlay.self.PublicIPv6} {
		if a.IsValid() {
			s.Underlay.PublicIP = append(s.Underlay.PublicIP, a)
		}
	}
	if l.running() {
		s.MTU = l.backend.MTU()
	}
	if l.config.bridgeNetfilter {
		s.BridgeNetfilter = new(l.problems.Get(bridgeNetfilter))
	}
	s.Peers = l.peers.statuses(l.kernel.everVerified() && l.problems.Get("overlay") == "")
	l.board.set(s)
}

// publishStore adds the state of the store.
func (l *loop) publishStore(s *status.Status) {
	st, trouble := l.state, l.problems.Get(s.Store)
	if l.config.store == storeKubernetes {
		s.Kubernetes = &status.Kubernetes{
			Seen: st.Seen, Revision: st.Set.Revision, Trouble: trouble, Connected: st.Feeder != "", Feeder: st.Feeder, Watching: st.Watching, Losses: st.Losses,
		}
		return
	}
	s.Etcd = &status.Etcd{
		Endpoints: l.config.etcd.Endpoints, Prefix: l.config.etcd.Prefix,
		Seen: st.Seen, Revision: st.Set.Revision, Trouble: trouble,
		Watching: st.Watching, Lists: st.Lists, Losses: st.Losses,
	}
}

// notes returns what is unusual, but harmless.
func (l *loop) notes() []string {
	notes := slices.Concat(l.firewall.Advice(), l.underlay.notes, l.kernel.notes, l.state.Warnings)
	if l.files.gateMissing != "" {
		notes = append(notes, l.files.gateMissing)
	}
	if note := l.file.difference(l.state.Network); note != "" {
		notes = append(notes, note)
	}
	if n := l.state.Retained; n > 0 {
		notes = append(notes, fmt.Sprintf("%s lost data: podlaned keeps %d peers that are missing from it", l.config.store.place(), n))
	}
	if l.running() && l.state.Network != l.network {
		notes = append(notes, "the network configuration in "+l.config.store.configPlace()+" has changed: restart podlaned on every node to use it")
	}
	return notes
}
