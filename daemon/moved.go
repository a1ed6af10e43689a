package main

import (
	"errors"
	"time"

	"github.com/podlane/podlane/backend"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/underlay"
)

// errMoved ends a run whose underlay has changed: the watchers look at the old one.
var errMoved = errors.New("the underlay has changed")

// moved looks at the node's interfaces afresh where that is due: for those of its pods, and for the underlay, of which it
// takes over one that has changed. Where none is right just now, or another may be so for a moment only, the one in use
// stays, and each pass looks again; again is when the next is to be for that at the latest, or 0.
func (l *loop) moved() (moved bool, again time.Duration) {
	if time.Now().Before(l.lookAt) {
		return false, 0
	}
	l.lookAt = time.Time{}
	var now underlay.Interface
	ifaces, err := underlay.Read()
	if err != nil {
		again = minRetry
	} else {
		l.bridges = l.podInterfaces(ifaces)
		now, err = l.nextUnderlay(ifaces)
	}
	if err == nil {
		if moved, again = l.follow.Follow(l.iface, now, time.Now()); !moved {
			l.troubles.set("underlay", "")
			if again == 0 {
				l.describeUnderlay(ifaces, now)
				l.lookAt = time.Now().Add(l.config.resync)
			}
			return false, again
		}
	}
	var b backend.Backend
	var self subnet.Self
	if err == nil {
		self = l.daemon.self(now, l.stateFile.loaded)
		b, err = newBackend(l.network, now, self)
	}
	if !l.troubles.check("underlay", err) {
		l.underlayNotes = nil
		l.troubles.set("underlay link", "")
		return false, again
	}
	l.log.Warnf("the underlay has changed from %s (%s, MTU %d) to %s (%s, MTU %d)",
		l.iface.Name, join(l.iface.Addrs), l.iface.MTU, now.Name, join(now.Addrs), now.MTU)
	l.leaveUnderlay(now)
	l.iface, l.backend, l.self = now, b, self
	l.screen()
	l.stateFile.markChanged(l.state.Held) // a restart must keep this underlay
	return true, 0
}
