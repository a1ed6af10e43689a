package main

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/podlane/podlane/bridge"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/sysctl"
	"github.com/podlane/podlane/underlay"
)

// podInterfaces returns the interfaces that lead to the node's pods. A known bridge counts even while it has lost its
// address: the firewall checks the packets from it.
func (l *loop) podInterfaces(ifaces []underlay.Interface) []string {
	l.podsDue = true
	names := append(bridges(ifaces, l.state.Own.Pair()), l.pods.Names()...)
	slices.Sort(names)
	return slices.Compact(names)
}

// bridges returns the interfaces that lead to the node's pods: those with an address of a pod subnet other than the first,
// which the overlay device has.
func bridges(ifaces []underlay.Interface, own subnet.Pair) (names []string) {
	for _, i := range ifaces {
		if slices.ContainsFunc(i.Addrs, func(p netip.Prefix) bool {
			half := own.Half(subnet.FamilyOf(p.Addr()))
			return half.IsValid() && half.Contains(p.Addr()) && p.Addr() != half.Addr()
		}) {
			names = append(names, i.Name)
		}
	}
	return names
}

// restoreBridges restores the bridges of the node's pods, each time that the interfaces were read.
func (l *loop) restoreBridges() {
	if !l.podsDue {
		return
	}
	before := l.pods.Known()
	report, err := l.pods.Restore(l.state.Own.Pair(), sysctl.HasBridgeNetfilter())
	l.podsDue = !l.troubles.check("bridge", confined(err))
	if err == nil {
		l.troubles.set("pods", strings.Join(report.Problems, "; "))
	}
	l.recordOps(report.Ops, nil)
	if !slices.EqualFunc(before, l.pods.Known(), bridge.Bridge.Equal) {
		l.stateFile.markChanged(l.state.Held)
	}
}

// cutEvery is how often podlaned checks the pods that lost their bridge. The kernel announces their end, but it does so for
// every pod, and podlaned ignores that.
const cutEvery = 5 * time.Second

// podsIn returns the time until the next check of such pods; 0: there are none.
func (l *loop) podsIn() time.Duration {
	if l.pods.Cut() {
		return cutEvery
	}
	return 0
}

// savedBridges returns the bridges that were known before this start. A reboot removes the bridges, and the node file with
// them.
func savedBridges(s savedState, self subnet.Self) []bridge.Bridge {
	if !self.InUse {
		return nil
	}
	return s.Bridges
}
