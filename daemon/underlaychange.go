package main

import (
	"errors"
	"net/netip"
	"time"

	"github.com/podlane/podlane/status"
	"github.com/podlane/podlane/underlay"
)

// errUnderlayChanged ends a run on one underlay, because its watchers watch that one.
var errUnderlayChanged = errors.New("the underlay has changed")

// updateUnderlay reads the node's interfaces when that is due. It changes to another underlay if the node must. The node
// keeps its underlay while none is usable, or another is usable only for a moment. again is the longest time until the
// interfaces must be read; 0: no such limit.
func (l *loop) updateUnderlay() (changed bool, again time.Duration) {
	if !l.underlay.due(time.Now()) {
		return false, 0
	}
	l.underlay.readNow()
	var next underlay.Interface
	ifaces, err := underlay.Read()
	if err != nil {
		again = minRetry
	} else {
		l.interfaces = ifaces
		l.pods.update(ifaces, l.state.Own.Pair())
		next, err = l.nextUnderlay(ifaces)
	}
	if err == nil {
		if changed, again = l.underlay.follow(next, time.Now()); !changed {
			l.keepUnderlay(ifaces, next, again)
			return false, again
		}
		err = l.changeUnderlay(next)
	}
	if !l.problems.Check("underlay", err) {
		l.underlay.notes = nil
		l.problems.Set("underlay link", "")
		return false, again
	}
	return true, 0
}

// nextUnderlay returns the underlay that the node should have now.
func (l *loop) nextUnderlay(ifaces []underlay.Interface) (underlay.Interface, error) {
	want := l.underlay.want(l.config.want(l.underlay.known(l.network)), ifaces)
	i, err := underlay.Choose(ifaces, want, underlay.RouteTo)
	if err != nil {
		return i, err
	}
	return l.underlay.paths.Measure(i, ifaces, func() []netip.Addr { return publicIPs(l.network, l.peers.leases...) })
}

// keepUnderlay records that the underlay in use stays. again is the time until the node may change to another one; 0: the
// one in use is the right one.
func (l *loop) keepUnderlay(ifaces []underlay.Interface, now underlay.Interface, again time.Duration) {
	l.problems.Set("underlay", "")
	if again > 0 {
		return
	}
	l.describeUnderlay(ifaces, now)
	l.underlay.readAt = time.Now().Add(l.config.resync)
}

// changeUnderlay makes another underlay the one in use, unless it cannot carry the pod network.
func (l *loop) changeUnderlay(next underlay.Interface) error {
	self := l.daemon.self(next, l.stateFile.loaded)
	b, err := newBackend(l.network, next, self)
	if err != nil {
		return err
	}
	was := l.underlay.iface
	l.log.Warnf("the underlay has changed from %s (%s, MTU %d) to %s (%s, MTU %d)",
		was.Name, status.Join(was.Addrs), was.MTU, next.Name, status.Join(next.Addrs), next.MTU)
	l.underlay.use(next, self, l.underlay.known(l.network).local)
	l.backend = b
	l.screen()
	l.stateFile.markChanged(l.state.Held) // a restart must keep this underlay
	return nil
}

// describeUnderlay records the problem and the notes about the underlay in use.
func (l *loop) describeUnderlay(ifaces []underlay.Interface, now underlay.Interface) {
	l.problems.Set("underlay link", carrierProblem(now))
	l.underlay.notes = underlay.Notes(ifaces, l.config.want(l.underlay.known(l.network)), now, underlay.RouteTo)
	for _, note := range l.underlay.notes {
		l.warnings.logOnce(note)
	}
}
