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

// podInterfaces returns the interfaces that lead to the node's pods. A bridge that was one stays one while it is without
// its address: the firewall guards what comes from it.
func (l *loop) podInterfaces(ifaces []underlay.Interface) []string {
	l.podsDue = true
	names := append(bridges(ifaces, l.state.Own.Pair()), l.pods.Names()...)
	slices.Sort(names)
	return slices.Compact(names)
}

// bridges is the interfaces that lead to the node's pods: those with an address of a pod subnet that is not the
// overlay's own, which is the subnet's first.
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

// restoreBridges restores the bridges of the node's pods, after each look at the interfaces.
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
	l.note(report.Ops, nil)
	if !slices.EqualFunc(before, l.pods.Known(), bridge.Bridge.Equal) {
		l.unsaved = l.unsaved || l.state.Held
	}
}

// cutEvery is how often the pods are looked at whose bridge was deleted. The kernel announces their end, but so it does for
// every other pod, and podlaned does not wake for that.
const cutEvery = 5 * time.Second

// podsIn returns in how long such pods are to be looked at; 0: there are none.
func (l *loop) podsIn() time.Duration {
	if l.pods.Cut() {
		return cutEvery
	}
	return 0
}

// savedBridges returns what is known of the bridges from before this start. A reboot takes the bridges away, and the node
// file with them.
func savedBridges(s savedState, self subnet.Self) []bridge.Bridge {
	if !self.InUse {
		return nil
	}
	return s.Bridges
}
