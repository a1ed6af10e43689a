package main

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/podlane/podlane/kernel"

	"github.com/podlane/podlane/backend/vxlan"
	"github.com/podlane/podlane/firewall"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/sysctl"
)

// program writes to the kernel what differs, and tells whether all of it is now as it should be, but for single peers
// that the kernel refuses. The firewall comes first: a peer that has just come is let in before its overlay stands, since
// its first packet may be here at any moment, and an overlay that has just come is for peers alone from its first moment on.
// Where somebody else's device or socket stands in the way of the first overlay, which is the error, nothing is to be
// left: a firewall that was made for it goes again.
func (l *loop) program(ctx context.Context) (good bool, err error) {
	l.restoreBridges()
	made, good, err := l.programFirewall(ctx)
	if err != nil {
		return false, err
	}
	well, err := l.programOverlay(ctx)
	if err != nil && made && taken(err) {
		_, cleanupErr := firewall.Cleanup(ctx)
		err = errors.Join(err, cleanupErr)
	}
	if err != nil {
		return false, err
	}
	return l.programSettings() && good && well, nil
}

// programSettings turns on what the node needs of the kernel beside the overlay. The bridge's part is a check of its own.
func (l *loop) programSettings() (good bool) {
	v4, v6 := l.network.IPv4.On(), l.network.IPv6.On()
	set, err := sysctl.EnableForwarding(v4, v6, l.underlay.iface.Name, l.pods.names)
	good = l.troubles.check("forwarding", confined(err))
	if l.config.bridgeNetfilter {
		more, err := sysctl.EnableBridgeNetfilter(v4, v6)
		if sysctl.Forbidden(err) && !l.pods.bridges.Hidden() {
			err = nil // the pods' bridges have their own setting, which netlink writes
		}
		l.troubles.check(bridgeNetfilter, err)
		set = append(set, more...)
	}
	if v6 {
		l.kernel.addNote(sysctl.Advice(l.underlay.iface.Name))
	}
	for i := range set {
		set[i].Drift = l.kernel.everVerified() // it was on
	}
	l.recordOps(set, nil)
	return good
}

// bridgeNetfilter is the name of the trouble and of the check.
const bridgeNetfilter = "bridge-netfilter"

func (l *loop) programOverlay(ctx context.Context) (good bool, err error) {
	report, err := l.backend.Apply(ctx, l.state.Own, l.peers.leases)
	if ctx.Err() != nil {
		return false, ctx.Err() // what was cut short is no trouble
	}
	err = confined(advise(err))
	if !l.kernel.everVerified() && taken(err) {
		return false, err
	}
	good = l.troubles.check("overlay", err)
	if good {
		l.peers.record(report)
		l.kernel.notes = report.Notes
		l.troubles.setAll("kernel", report.Problems)
	}
	var refused error
	if l.kernel.refused = len(report.Failed) > 0; l.kernel.refused {
		refused = report.Failed[0]
	}
	l.troubles.check("refused by the kernel", refused)
	l.recordOps(report.Ops, report.Failed)
	return good, nil
}

// programFirewall tells whether it made the table, which was not there.
func (l *loop) programFirewall(ctx context.Context) (made, good bool, err error) {
	ops, err := l.firewall.Apply(ctx, l.rules())
	if ctx.Err() != nil {
		return false, false, ctx.Err()
	}
	made = slices.ContainsFunc(ops, func(op kernel.Op) bool { return op.Verb == "add" && op.Kind == "table" })
	good = l.troubles.check("firewall", confined(err))
	l.troubles.setAll("other firewall", l.firewall.Problems())
	l.recordOps(ops, nil)
	return made, good, nil
}

// rules is what the firewall is to be. Nodes are started one after the other, so peers may use direct routing though this
// node does not: where it is in the configuration but not yet in use here, and where it was in use here before this start.
// Their pods' plain packets are let in: for as long as the configuration says so, and until the next start. A node that
// joins while direct routing is being switched off does not know, and drops what comes plainly.
func (l *loop) rules() firewall.Rules {
	network := l.network
	network.VXLAN.DirectRouting = network.VXLAN.DirectRouting || l.state.Network.VXLAN.DirectRouting || l.stateFile.loaded.Direct
	r := firewall.Rules{
		Network: network, Pods: network.Pods(l.underlay.iface.Addrs, l.state.Own, l.peers.leases), Subnet: l.state.Own.Pair(), Masquerade: l.config.ipMasq,
		Peers: []netip.Addr{}, PodInterfaces: l.pods.names, BridgeHidden: l.pods.bridges.Hidden(), HTTPPort: httpPort(l.config.http),
		Underlay: l.underlay.iface.Name,
	}
	for _, f := range subnet.Families {
		r.Overlay[f] = vxlan.DeviceName(f, network.VXLAN.VNI)
		if a := l.underlay.iface.Local(f); a.IsValid() {
			r.Addrs = append(r.Addrs, a)
		}
	}
	for _, p := range l.peers.leases {
		for _, f := range subnet.Families {
			if a := p.Endpoint(f).PublicIP; a.IsValid() && p.BackendType == subnet.BackendVXLAN {
				r.Peers = append(r.Peers, a)
			}
		}
	}
	return r
}

// recordOps logs and counts what was written to the kernel, and records repairs for the status.
func (l *loop) recordOps(ops []kernel.Op, failed []kernel.Failure) {
	l.metrics.observeOps(ops, failed)
	drift, change := split(ops)
	if len(change) > 0 {
		l.log.Infof("%s; peers: %d", summary(change), l.peers.count())
	}
	if len(drift) > 0 {
		l.log.Warnf("repaired what somebody else changed: %s", l.repairs.record(drift, time.Now()))
	}
}
