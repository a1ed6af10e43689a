package main

import (
	"slices"
	"strings"
	"time"

	"github.com/podlane/podlane/bridge"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/sysctl"
)

// podInterfaces holds the interfaces that lead to the node's pods.
type podInterfaces struct {
	names      []string       // of all of them
	bridges    *bridge.Keeper // records which of them are bridges
	restoreDue bool           // the interfaces were read since the bridges were last checked
}

// update records the interfaces that lead to the pods. A known bridge counts even while it has lost its address. The
// firewall checks the packets from it.
func (p *podInterfaces) update(all interfaces, own subnet.Pair) {
	p.restoreDue = true
	names := append(all.withPodAddress(own), p.bridges.Names()...)
	slices.Sort(names)
	p.names = slices.Compact(names)
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
