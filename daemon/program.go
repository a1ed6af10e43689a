package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/podlane/podlane/kernel"

	"github.com/podlane/podlane/backend"
	"github.com/podlane/podlane/backend/vxlan"
	"github.com/podlane/podlane/firewall"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/sysctl"
)

// programKernel writes what differs, and reports whether the kernel is now verified. It ignores single peers that the
// kernel refuses.
//
// The firewall comes first. The packets of a new peer may arrive before its overlay is programmed, and must be accepted.
// And a new overlay must accept packets from peers only. If it creates a device, the firewall is programmed once more: some
// rules have the device's index.
//
// The error is a device conflict at the start. Then a firewall table that was just created is deleted again.
func (l *loop) programKernel(ctx context.Context) (verified bool, err error) {
	l.restoreBridges()
	newTable, firewallOK, err := l.programFirewall(ctx)
	if err != nil {
		return false, err
	}
	created, overlayOK, err := l.programOverlay(ctx)
	if err != nil && newTable && isDeviceConflict(err) {
		_, cleanupErr := firewall.Cleanup(ctx)
		err = errors.Join(err, cleanupErr)
	}
	if err == nil && len(created) > 0 {
		l.interfaces.add(created)
		_, firewallOK, err = l.programFirewall(ctx)
	}
	if err != nil {
		return false, err
	}
	return l.programSettings() && firewallOK && overlayOK, nil
}

// programSettings enables forwarding and, if configured, bridge netfilter, which has a check of its own.
func (l *loop) programSettings() (ok bool) {
	v4, v6 := l.network.IPv4.On(), l.network.IPv6.On()
	set, err := sysctl.EnableForwarding(v4, v6, l.underlay.iface.Name, l.pods.names)
	ok = l.problems.Check("forwarding", confined(err))
	if l.config.bridgeNetfilter {
		more, err := sysctl.EnableBridgeNetfilter(v4, v6)
		if sysctl.Forbidden(err) && !l.pods.bridges.Hidden() {
			err = nil // the pods' bridges have their own setting, which netlink writes
		}
		l.problems.Check(bridgeNetfilter, err)
		set = append(set, more...)
	}
	if v6 {
		l.kernel.addNote(sysctl.Advice(l.underlay.iface.Name))
	}
	for i := range set {
		set[i].Drift = l.kernel.everVerified() // it was enabled before
	}
	l.recordOps(set, nil)
	return ok
}

// bridgeNetfilter is the name of a check and of its kind of problem.
const bridgeNetfilter = "bridge-netfilter"

// programOverlay makes the overlay equal to the lease set. It returns the devices that it created. The error is
// isDeviceConflict, or that ctx has ended.
func (l *loop) programOverlay(ctx context.Context) (created []backend.Device, ok bool, err error) {
	report, err := l.backend.Apply(ctx, l.state.Own, l.peers.leases)
	if ctx.Err() != nil {
		return nil, false, ctx.Err() // an interrupted write is not a problem
	}
	err = confined(adviseOnConflict(err, l.config.store))
	if !l.kernel.everVerified() && isDeviceConflict(err) {
		return nil, false, err
	}
	ok = l.problems.Check("overlay", err)
	if ok {
		l.peers.record(report)
		l.kernel.notes = report.Notes
		l.problems.SetAll("kernel", report.Problems)
	}
	var refused error
	if l.kernel.refused = len(report.Failed) > 0; l.kernel.refused {
		refused = report.Failed[0]
	}
	l.problems.Check("refused by the kernel", refused)
	l.recordOps(report.Ops, report.Failed)
	return report.Created, ok, nil
}

// programFirewall makes the firewall table match. created reports whether it did not exist before.
func (l *loop) programFirewall(ctx context.Context) (created, ok bool, err error) {
	ops, err := l.firewall.Apply(ctx, l.rules())
	if ctx.Err() != nil {
		return false, false, ctx.Err()
	}
	ok = l.problems.Check("firewall", confined(err))
	l.problems.SetAll("other firewall", l.firewall.Problems())
	l.recordOps(ops, nil)
	return adds(ops, "table"), ok, nil
}

// adds reports whether one of the writes created an object of this kind.
func adds(ops []kernel.Op, kind string) bool {
	return slices.ContainsFunc(ops, func(op kernel.Op) bool { return op.Verb == "add" && op.Kind == kind })
}

// rules returns the firewall's rules. Nodes are restarted one after the other. So peers may use direct routing although
// this node does not yet, or no longer. The firewall accepts the plain packets of their pods in two cases:
//   - The newest configuration has direct routing. It is not in use here until the next start.
//   - Direct routing was in use here before this start. They are accepted until the next start.
//
// A node that joins while direct routing is being switched off does not know that. It drops plain packets.
func (l *loop) rules() firewall.Rules {
	network := l.network
	network.VXLAN.DirectRouting = network.VXLAN.DirectRouting || l.state.Network.VXLAN.DirectRouting || l.stateFile.loaded.Direct
	r := firewall.Rules{
		Network: network, Pods: network.Pods(l.underlay.iface.Addrs, l.state.Own, l.peers.leases), Subnet: l.state.Own.Pair(), Masquerade: l.config.ipMasq,
		PodInterfaces: l.pods.names, BridgeHidden: l.pods.bridges.Hidden(), HTTPPort: portOf(l.config.http),
		Bridge: l.interfaces.bridge(l.pods.names), Underlay: l.interfaces.named(l.underlay.iface.Name),
	}
	r.Peers, r.PeerSubnets = l.peers.ofVXLAN()
	for _, f := range subnet.Families {
		r.Overlay[f] = l.interfaces.named(vxlan.DeviceName(f, network.VXLAN.VNI))
		if a := l.underlay.iface.Local(f); a.IsValid() {
			r.Addrs = append(r.Addrs, a)
		}
	}
	r.OnlyWay = l.interfaces.onlyWay(r.Underlay, append([]string{r.Overlay[subnet.IPv4].Name, r.Overlay[subnet.IPv6].Name}, r.PodInterfaces...)...)
	return r
}

// recordOps logs and counts the writes to the kernel, and records repairs for the status.
func (l *loop) recordOps(ops []kernel.Op, failed []kernel.Failure) {
	l.metrics.observeOps(ops, failed)
	l.debugOps(ops)
	drift, change := split(ops)
	if len(change) > 0 {
		l.log.Infof("%s; peers: %d", summary(change), l.peers.count())
	}
	if len(drift) > 0 {
		l.log.Warnf("repaired what another program changed: %s", l.repairs.record(drift, time.Now()))
	}
}
