package main

import (
	"cmp"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/podlane/podlane/kernel"
)

// observeCall counts a call to etcd, and logs it at level debug.
func (d *daemon) observeCall(call string, took time.Duration, err error) {
	d.metrics.observeCall(call, took, err)
	if err != nil {
		d.log.Debugf("etcd: %s failed after %s: %v", call, took.Round(time.Microsecond), err)
		return
	}
	d.log.Debugf("etcd: %s took %s", call, took.Round(time.Microsecond))
}

// debugWait logs what the loop waits for while there is no lease.
func (l *loop) debugWait() {
	if l.state.Err != nil {
		l.log.Debugf("waiting for a lease: %v", l.state.Err)
		return
	}
	l.log.Debugf("waiting for a lease: %s", cmp.Or(l.state.Conflict, "the store has not delivered one yet"))
}

// debugEvent logs an event that may cause a reconciliation.
func (l *loop) debugEvent(e event) {
	switch e.kind {
	case stateReceived:
		s := e.state
		l.log.Debugf("the store delivered revision %d, leases: %d, own lease: %s, held: %v", s.Set.Revision, len(s.Set.Records), s.Own.Pair(), s.Held)
	case kernelChanged:
		l.log.Debug("reconciling: the kernel's state may have changed")
	case timeout:
		if l.running() { // without a lease there is nothing to reconcile
			l.log.Debug("reconciling: a retry or the resync is due")
		}
	case contextEnded, beatDue, filesDue, recoveryDue:
	}
}

// debugReconciliation logs the result of a reconciliation.
func (l *loop) debugReconciliation(took time.Duration, verified bool, next time.Duration) {
	l.log.Debugf("reconciled in %s, verified: %v, peers: %d; the next one is in %s or earlier", took.Round(time.Microsecond), verified, l.peers.count(), next)
}

// debugOps logs each write to the kernel.
func (l *loop) debugOps(ops []kernel.Op) {
	if !l.log.IsLevelEnabled(logrus.DebugLevel) {
		return
	}
	for _, op := range ops {
		l.log.Debugf("wrote to the kernel: %s", op)
	}
}
