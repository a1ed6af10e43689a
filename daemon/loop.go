package main

import (
	"context"
	"fmt"
	"time"

	"github.com/podlane/podlane/pause"
	"github.com/podlane/podlane/subnet/store"

	"github.com/podlane/podlane/backend"
	"github.com/podlane/podlane/bridge"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/underlay"
)

// The pace of the loop.
const (
	minPass    = 50 * time.Millisecond // between the beginnings of two passes: what comes meanwhile is one pass
	maxSilence = 2 * time.Second       // of etcd, before a start from the saved state
)

// loop makes the kernel equal to the newest lease set, over and over: after each change of the set, after each event
// that may have disturbed the kernel, after a failure, and at least every config.resync.
type loop struct {
	*daemon
	backend backend.Backend

	state   store.State // the newest
	network subnet.Network

	peers     peers
	pods      podInterfaces
	underlay  underlayTracker
	kernel    kernelState
	repairs   repairs
	files     nodeFiles
	stateFile stateFile
	warnings  warnings
}

func newLoop(d *daemon, iface underlay.Interface, saved savedState) *loop {
	self := d.self(iface, saved)
	return &loop{
		daemon: d, peers: newPeers(d.log), pods: podInterfaces{bridges: bridge.New(savedBridges(saved, self))},
		underlay: newUnderlayTracker(iface, self, saved.known().local), stateFile: stateFile{loaded: saved}, warnings: newWarnings(d.log),
	}
}

// await takes states until there is a lease to work for, and says meanwhile what stands in the way. It then builds the
// backend. An etcd that hangs would say nothing until a call's deadline: it counts as away before, so that what was saved
// stands in.
func (l *loop) await(ctx context.Context, states <-chan store.State) error {
	silent := time.Now().Add(maxSilence)
	for l.state.Own == (subnet.Lease{}) {
		l.publish()
		longest := beatEvery
		if left := time.Until(silent); left > 0 {
			longest = left
		}
		if !l.wait(ctx, states, nil, longest) {
			return ctx.Err()
		}
		if l.state.Seen.IsZero() && l.state.Err == nil && time.Now().After(silent) {
			l.take(store.State{Err: errSilence})
		}
		if l.state.Own == (subnet.Lease{}) && time.Now().After(silent) {
			l.refusePods()
		}
	}
	b, err := newBackend(l.network, l.underlay.iface, l.underlay.self)
	if err != nil {
		return err
	}
	l.backend = b
	l.log.Infof("lease %s: this node's pod subnet", l.state.Own.Pair())
	return nil
}

var errSilence = fmt.Errorf("no answer within %v", maxSilence)

func (l *loop) running() bool { return l.backend != nil }

// run passes until ctx ends.
func (l *loop) run(ctx context.Context, states <-chan store.State, wake <-chan struct{}) error {
	defer l.troubles.close()
	defer l.saveState(true)
	for {
		began := time.Now()
		next, err := l.pass(ctx)
		if err != nil {
			return err
		}
		if !pause.For(ctx, minPass-time.Since(began)) {
			return ctx.Err()
		}
		if !l.wait(ctx, states, wake, next) {
			return ctx.Err()
		}
	}
}

// wait applies events until there is a reason to reconcile, at most for a time. It reports whether ctx still lasts.
func (l *loop) wait(ctx context.Context, states <-chan store.State, kernel <-chan struct{}, most time.Duration) bool {
	timer, beat := time.NewTimer(most), time.NewTicker(beatEvery)
	defer timer.Stop()
	defer beat.Stop()
	for {
		l.board.beat()
		e := idle(ctx, sources{states, kernel, timer.C, beat.C, l.fileTimer(), l.troubles.logRecovered()})
		if e.kind == contextEnded {
			return false
		}
		if l.apply(e) {
			return true
		}
	}
}

// apply applies an event and reports whether it is a reason to reconcile.
func (l *loop) apply(e event) (work bool) {
	switch e.kind {
	case stateReceived:
		if l.take(e.state) || !l.running() {
			return true
		}
		l.publish()
	case kernelChanged, timeout:
		l.underlay.readNow()
		return true
	case beatDue:
		l.publish() // the problems of other goroutines
	case filesDue:
		l.retryFiles()
		l.publish()
	case contextEnded, recoveryDue:
	}
	return false
}

// pass makes the kernel equal to the state, tells the node, and says when to pass again at the latest.
func (l *loop) pass(ctx context.Context) (next time.Duration, err error) {
	changed, again := l.updateUnderlay()
	if changed {
		return 0, errUnderlayChanged
	}
	began := time.Now()
	good, err := l.program(ctx)
	if err != nil {
		return 0, err
	}
	if good {
		if !l.kernel.everVerified() {
			l.stateFile.markChanged(l.state.Held) // the state of a verified underlay has its addresses
		}
		l.kernel.verified = time.Now()
	}
	l.metrics.observePass(time.Since(began), good)
	if l.kernel.everVerified() {
		good = l.writeNodeFiles() && good
	}
	l.kernel.scheduleRetry(good)
	l.saveState(false)
	l.publish()
	next = l.config.resync
	for _, sooner := range []time.Duration{l.kernel.retry, again, l.expiresIn(), l.pods.nextCheck()} {
		if sooner > 0 {
			next = min(next, sooner)
		}
	}
	return next, nil
}
