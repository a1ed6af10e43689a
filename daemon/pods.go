package main

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/podlane/podlane/bridge"
	"github.com/podlane/podlane/firewall"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/sysctl"
	"github.com/podlane/podlane/underlay"
)

// podInterfaces holds the interfaces that lead to the node's pods.
type podInterfaces struct {
	names      []string             // of all of them
	all        []underlay.Interface // of the node, as last read
	bridges    *bridge.Keeper       // records which of them are bridges
	restoreDue bool                 // the interfaces were read since the bridges were last checked
}

// update records the interfaces that lead to the pods. A known bridge counts even while it has lost its address. The
// firewall checks the packets from it.
func (p *podInterfaces) update(ifaces []underlay.Interface, own subnet.Pair) {
	p.restoreDue, p.all = true, ifaces
	names := append(withPodAddress(ifaces, own), p.bridges.Names()...)
	slices.Sort(names)
	p.names = slices.Compact(names)
}

// bridge returns the interface that leads to all pods.
func (p *podInterfaces) bridge() (b firewall.Bridge) {
	for _, i := range p.all {
		if len(p.names) == 1 && i.Name == p.names[0] {
			return firewall.Bridge{Interface: firewall.Interface{Name: i.Name, Index: i.Index}, Addrs: i.Addrs}
		}
	}
	return b
}

// named returns the interface of the node with a name.
func (p *podInterfaces) named(name string) firewall.Interface {
	found := firewall.Interface{Name: name}
	for _, i := range p.all {
		if i.Name == name {
			found.Index = i.Index
		}
	}
	return found
}

// withPodAddress returns the interfaces with an address of a pod subnet. The overlay device is not among them: it has the
// first address of the subnet.
func withPodAddress(ifaces []underlay.Interface, own subnet.Pair) (names []string) {
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

// checkEvery is how often podlaned checks the pods that lost their bridge. The kernel announces when such a pod ends. But
// it announces that of every pod, so podlaned ignores it.
const checkEvery = 5 * time.Second

// nextCheck returns the time until the next check of the pods that lost their bridge. It is 0 if there are none.
func (p *podInterfaces) nextCheck() time.Duration {
	if p.bridges.Cut() {
		return checkEvery
	}
	return 0
}

// restoreBridges restores the bridges of the node's pods, each time after the interfaces were read.
func (l *loop) restoreBridges() {
	if !l.pods.restoreDue {
		return
	}
	before := l.pods.bridges.Known()
	report, err := l.pods.bridges.Restore(l.state.Own.Pair(), sysctl.HasBridgeNetfilter())
	l.pods.restoreDue = !l.problems.Check("bridge", confined(err))
	if err == nil {
		l.problems.Set("pods", strings.Join(report.Problems, "; "))
	}
	l.recordOps(report.Ops, nil)
	if !slices.EqualFunc(before, l.pods.bridges.Known(), bridge.Bridge.Equal) {
		l.stateFile.markChanged(l.state.Held)
	}
}

// savedBridges returns the bridges that were known before this start. A reboot removes the bridges, and the node file with
// them.
func savedBridges(s savedState, self subnet.Self) []bridge.Bridge {
	if !self.InUse {
		return nil
	}
	return s.Bridges
}
