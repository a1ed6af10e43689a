package main

import (
	"context"
	"sync"
	"time"

	"github.com/podlane/podlane/backend"
	"github.com/podlane/podlane/bridge"
	"github.com/podlane/podlane/pause"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
	"github.com/podlane/podlane/underlay"
)

const (
	// minInterval is the time between the starts of two reconciliations. What comes meanwhile causes one.
	minInterval = 50 * time.Millisecond
	// maxStoreSilence is how long a start waits for the store before it uses the saved state.
	maxStoreSilence = 2 * time.Second
)

// loop makes the kernel equal to the newest lease set. It does so after:
//   - a change of the set,
//   - an event that may have disturbed the kernel,
//   - a failure,
//   - config.resync without any of these.
//
// A group of fields that change together is a type of its own, without I/O.
type loop struct {
	*daemon
	backend backend.Backend // nil: there is no lease yet

	state   store.State    // the newest
	network subnet.Network // of the first state with a lease
	overdue bool           // the store did not answer within maxStoreSilence: until it is read, the saved state is used

	peers      peers
	interfaces interfaces
	pods       podInterfaces
	underlay   underlayTracker
	kernel     kernelState
	repairs    repairs
	files      nodeFiles
	stateFile  stateFile
	warnings   warnings
}

func newLoop(d *daemon, iface underlay.Interface, saved savedState) *loop {
	self := d.self(iface, saved)
	return &loop{
		daemon: d, peers: newPeers(d.log), pods: podInterfaces{bridges: bridge.New(savedBridges(saved, self))},
		underlay: newUnderlayTracker(iface, self, saved.known().local), stateFile: stateFile{loaded: saved}, warnings: newWarnings(d.log),
	}
}

// awaitLease receives states until the node has a lease, and builds the backend. Meanwhile it publishes what prevents that.
// If the store has not answered after maxStoreSilence, the saved state is used. That is no problem until the store reports one: a
// call to etcd that hangs ends at its deadline, and podlane-kube may still be starting.
func (l *loop) awaitLease(ctx context.Context, states <-chan store.State) error {
	silent := time.Now().Add(maxStoreSilence)
	for l.state.Own == (subnet.Lease{}) {
		l.publish()
		l.debugWait()
		longest := beatEvery
		if left := time.Until(silent); left > 0 {
			longest = left
		}
		if !l.wait(ctx, states, nil, longest) {
			return ctx.Err()
		}
		if !l.overdue && l.state.Seen.IsZero() && time.Now().After(silent) {
			l.overdue = true
			l.receive(l.state)
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
	l.log.Infof("this node leases the pod subnet %s", l.state.Own.Pair())
	return nil
}

// running reports whether the node has had a lease in this run.
func (l *loop) running() bool { return l.backend != nil }

// run reconciles until ctx ends. It calls watch after the first reconciliation.
func (l *loop) run(ctx context.Context, states <-chan store.State, kernel <-chan struct{}, watch func()) error {
	defer l.problems.Close()
	defer l.saveState(true)
	for begin := sync.OnceFunc(watch); ; {
		began := time.Now()
		next, err := l.reconcile(ctx)
		if err != nil {
			return err
		}
		begin()
		if !pause.For(ctx, minInterval-time.Since(began)) {
			return ctx.Err()
		}
		if !l.wait(ctx, states, kernel, next) {
			return ctx.Err()
		}
	}
}

// wait applies events until there is a reason to reconcile, at most for a time. It reports whether ctx is still alive.
func (l *loop) wait(ctx context.Context, states <-chan store.State, kernel <-chan struct{}, most time.Duration) bool {
	timer, beat := time.NewTimer(most), time.NewTicker(beatEvery)
	defer timer.Stop()
	defer beat.Stop()
	for {
		l.board.beat()
		e := idle(ctx, sources{states, kernel, timer.C, beat.C, l.fileTimer(), l.problems.LogRecovered()})
		if e.kind == contextEnded {
			return false
		}
		l.debugEvent(e)
		if l.apply(e) {
			return true
		}
	}
}

// apply applies an event and reports whether it is a reason to reconcile.
func (l *loop) apply(e event) (work bool) {
	switch e.kind {
	case stateReceived:
		if l.receive(e.state) || !l.running() {
			return true
		}
		l.publish()
	case kernelChanged, timeout:
		l.underlay.readNow()
		return true
	case beatDue:
		l.findOtherCNI() // the next reconciliation may be 30 s later, which is too late for `kubectl describe node`
		l.publish()      // the problems of other goroutines
	case filesDue:
		l.retryFiles()
		l.publish()
	case contextEnded, recoveryDue:
	}
	return false
}

// reconcile makes the kernel equal to the state. Then it writes the files and the status. It returns the longest time
// until the next reconciliation.
func (l *loop) reconcile(ctx context.Context) (next time.Duration, err error) {
	changed, again := l.updateUnderlay()
	if changed {
		return 0, errUnderlayChanged
	}
	began := time.Now()
	verified, err := l.programKernel(ctx)
	if err != nil {
		return 0, err
	}
	if verified {
		if !l.kernel.everVerified() {
			l.stateFile.markChanged(l.state.Held) // from now on it is saved with the addresses of this underlay
		}
		l.kernel.verified = time.Now()
	}
	l.metrics.observeReconciliation(time.Since(began), verified)
	complete := verified
	if l.kernel.everVerified() {
		complete = l.writeNodeFiles() && verified
	}
	l.kernel.scheduleRetry(complete)
	l.saveState(false)
	l.publish()
	next = earliest(l.config.resync, l.kernel.retry, again, expiresIn(l.state.Expiry, time.Now()), l.pods.nextCheck())
	l.debugReconciliation(time.Since(began), verified, next)
	return next, nil
}

// earliest returns the shortest of some times. All but the first are ignored if they are 0.
func earliest(most time.Duration, others ...time.Duration) time.Duration {
	for _, d := range others {
		if d > 0 {
			most = min(most, d)
		}
	}
	return most
}
