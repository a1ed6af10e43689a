package main

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/underlay"
)

// underlayTracker holds the underlay in use and decides when the node changes to another.
type underlayTracker struct {
	iface    underlay.Interface // in use
	self     subnet.Self        // this node with its public addresses on iface
	follower underlay.Follower
	paths    underlay.Paths
	// previousAddrs holds the addresses of an underlay that this run or an earlier one had to leave. The node returns if an
	// interface has them again. Its peers know it by them, and the other interface may lead to no peer.
	previousAddrs []netip.Addr
	readAt        time.Time // when to read the interfaces again; zero: at once
	notes         []string  // about the underlay in use
}

// newUnderlayTracker returns a tracker of the first underlay. previous holds the addresses of an earlier run's underlay.
func newUnderlayTracker(iface underlay.Interface, self subnet.Self, previous []netip.Addr) underlayTracker {
	if iface.HasAll(previous) {
		previous = nil
	}
	return underlayTracker{iface: iface, self: self, previousAddrs: previous}
}

// due reports whether the node's interfaces are to be read.
func (t *underlayTracker) due(now time.Time) bool { return !now.Before(t.readAt) }

// readNow makes the next reconciliation read the interfaces.
func (t *underlayTracker) readNow() { t.readAt = time.Time{} }

// known returns the addresses by which the other nodes know this one.
func (t *underlayTracker) known(network subnet.Network) known {
	return knownOf(t.self, network, t.iface)
}

// want returns the operator's choice with the addresses to keep. These are the previous addresses if an interface has them
// again.
func (t *underlayTracker) want(chosen underlay.Want, ifaces []underlay.Interface) underlay.Want {
	if slices.ContainsFunc(ifaces, func(i underlay.Interface) bool { return i.Up && i.HasAll(t.previousAddrs) }) {
		chosen.Kept = t.previousAddrs
	}
	return chosen
}

// follow reports whether the node must change to another underlay now. If it is too early, again is the time until the
// next try.
func (t *underlayTracker) follow(next underlay.Interface, now time.Time) (change bool, again time.Duration) {
	return t.follower.Follow(t.iface, next, now)
}

// use changes to another underlay. known are the addresses by which the other nodes know this one.
func (t *underlayTracker) use(next underlay.Interface, self subnet.Self, known []netip.Addr) {
	if t.previousAddrs == nil && next.Index != t.iface.Index && !next.HasAll(known) {
		t.previousAddrs = known
	}
	t.iface, t.self = next, self
	if next.HasAll(t.previousAddrs) {
		t.previousAddrs = nil
	}
}

// carrierProblem returns why an interface carries no packets, or nothing.
func carrierProblem(i underlay.Interface) string {
	if !i.NoCarrier {
		return ""
	}
	return fmt.Sprintf("interface %s has no carrier: check its cable, or the link below it; --iface moves the underlay to another interface", i.Name)
}
