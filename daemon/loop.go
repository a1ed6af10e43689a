package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/podlane/podlane/backend"
	"github.com/podlane/podlane/firewall"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/etcd"
	"github.com/podlane/podlane/sysctl"
	"github.com/podlane/podlane/underlay"
)

// The pace of the loop.
const (
	minPass  = 50 * time.Millisecond // between the beginnings of two passes: what comes meanwhile is one pass
	minRetry = time.Second           // after a pass that failed, doubled each time
	maxRetry = 30 * time.Second
	minSave  = 10 * time.Second // between two writes of the saved state
)

// loop makes the kernel equal to the newest lease set, over and over: after each change of the set, after each event
// that may have disturbed the kernel, after a failure, and at least every config.resync.
type loop struct {
	*daemon
	iface   underlay.Interface
	self    subnet.Self
	backend backend.Backend

	state   etcd.State // the newest
	network subnet.Network
	peers   []subnet.Lease  // of state, screened
	skips   skips           // what of state is not among the peers
	unfit   skips           // what of the peers the backend does not program
	seen    map[string]bool // warnings already logged

	verified time.Time
	retry    time.Duration
	repairs  []repair
	repaired int
	advice   []string

	saved   savedState // as read at the start
	savedAt time.Time
	unsaved bool // the state has changed since
}

func newLoop(d *daemon, iface underlay.Interface, saved savedState) *loop {
	return &loop{
		daemon: d, iface: iface, self: d.self(iface, saved), saved: saved, seen: map[string]bool{},
		skips: skips{log: d.log}, unfit: skips{log: d.log},
	}
}

// await takes states until there is a lease to work for, and says meanwhile what stands in the way. It then builds the
// backend.
func (l *loop) await(ctx context.Context, states <-chan etcd.State) error {
	for l.state.Own == (subnet.Lease{}) {
		l.publish()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case s := <-states:
			l.take(s)
		}
	}
	b, err := newBackend(l.network, l.iface)
	if err != nil {
		return err
	}
	l.backend = b
	l.log.Infof("lease %s: this node's pod subnet", l.state.Own.Pair())
	return nil
}

func (l *loop) running() bool { return l.backend != nil }

// run passes until ctx ends.
func (l *loop) run(ctx context.Context, states <-chan etcd.State, wake <-chan struct{}) error {
	defer l.saveState(true)
	for {
		began := time.Now()
		next, err := l.pass(ctx)
		if err != nil {
			return err
		}
		if !pause(ctx, minPass-time.Since(began)) {
			return ctx.Err()
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
		case s := <-states:
			l.take(s)
		case <-wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// pause waits, and tells whether ctx still lasts.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// take makes a state the newest.
func (l *loop) take(s etcd.State) {
	s = l.saved.standIn(s, time.Now())
	if l.running() {
		s = l.steady(s)
	}
	l.unsaved = s.Held && (l.unsaved || news(l.state, s))
	l.state = s
	l.troubles.check("etcd", explain(l.config, s.Err))
	l.troubles.set("lease", s.Conflict)
	for _, w := range s.Warnings {
		l.once(w)
	}
	if !l.running() {
		l.network = s.Network // once running, one that changes is for the next start
	}
	var clashing []subnet.Skip
	l.peers, clashing = subnet.Screen(l.network, s.Own, s.Set.Records)
	l.skips.take(slices.Concat(clashing, s.Set.Skipped), len(clashing)+s.Set.Junk)
}

// steady keeps the pod subnet that the pods run on, whatever the store says: until it has a lease again, and where it has
// been given another.
func (l *loop) steady(s etcd.State) etcd.State {
	was := l.state.Own
	switch {
	case s.Own == (subnet.Lease{}):
		s.Own, s.Held = was, false
		if s.Set.Revision == 0 {
			s.Set = l.state.Set
		}
	case s.Own.Pair() != was.Pair():
		s.Conflict = fmt.Sprintf("etcd has the pod subnet %s for this node, whose pods run on %s: drain it, run `podlaned cleanup`, and start podlaned again",
			s.Own.Pair(), was.Pair())
		s.Own, s.Held = was, false
	}
	return s
}

// once logs a warning the first time it comes.
func (l *loop) once(text string) {
	if !l.seen[text] && len(l.seen) < maxSeen {
		l.seen[text] = true
		l.log.Warn(text)
	}
}

// maxSeen bounds how many warnings are remembered.
const maxSeen = 100

// pass makes the kernel equal to the state, tells the node, and says when to pass again at the latest.
func (l *loop) pass(ctx context.Context) (next time.Duration, err error) {
	if l.moved() {
		return 0, errMoved
	}
	good, err := l.program(ctx)
	if err != nil {
		return 0, err
	}
	if good {
		l.verified = time.Now()
	}
	if !l.verified.IsZero() {
		good = l.announce() && good
	}
	if good {
		l.retry = 0
	} else {
		l.retry = min(max(2*l.retry, minRetry), maxRetry)
	}
	l.saveState(false)
	l.publish()
	if l.retry > 0 {
		return min(l.retry, l.config.resync), nil
	}
	return l.config.resync, nil
}

// errMoved ends a run whose underlay has changed: the watchers look at the old one.
var errMoved = errors.New("the underlay has changed")

// moved looks for the underlay afresh, and takes over one that has changed. Where none is right just now, the one in use
// stays.
func (l *loop) moved() bool {
	now, err := chooseUnderlay(l.config)
	if err == nil && now.Same(l.iface) {
		l.troubles.set("underlay", "")
		return false
	}
	var b backend.Backend
	if err == nil {
		b, err = newBackend(l.network, now)
	}
	if !l.troubles.check("underlay", err) {
		return false
	}
	l.log.Warnf("the underlay has changed from %s (%s, MTU %d) to %s (%s, MTU %d)",
		l.iface.Name, join(l.iface.Addrs), l.iface.MTU, now.Name, join(now.Addrs), now.MTU)
	l.iface, l.backend, l.self = now, b, l.daemon.self(now, l.saved)
	return true
}

// program writes to the kernel what differs, and tells whether all of it is now as it should be. The error is for a
// start that somebody else's device or socket stands in the way of; the overlay comes first, so that then nothing is left.
func (l *loop) program(ctx context.Context) (good bool, err error) {
	report, err := l.backend.Apply(ctx, l.state.Own, l.peers)
	if ctx.Err() != nil {
		return false, ctx.Err() // what was cut short is no trouble
	}
	err = advise(err)
	if l.verified.IsZero() && taken(err) {
		return false, err
	}
	good = l.troubles.check("overlay", err)
	if good {
		l.unfit.take(report.Skipped, len(report.Skipped))
	}
	forwarding, err := sysctl.EnableForwarding(l.network.IPv4.On(), l.network.IPv6.On(), l.iface.Name)
	for i := range forwarding {
		forwarding[i].Drift = !l.verified.IsZero() // it was on
	}
	good = l.troubles.check("forwarding", err) && good
	var refused error
	if len(report.Failed) > 0 {
		refused = report.Failed[0]
	}
	good = l.troubles.check("peers", refused) && good
	rules, err := l.firewall.Apply(ctx, firewall.Rules{Network: l.network, Subnet: l.state.Own.Pair(), Masquerade: l.config.ipMasq})
	good = l.troubles.check("firewall", err) && good
	l.advice, err = firewall.Advice(l.network)
	l.troubles.check("other firewalls", err)
	l.note(slices.Concat(report.Ops, forwarding, rules))
	return good, nil
}

// note logs what a pass wrote, and keeps what it repaired for the status.
func (l *loop) note(ops []backend.Op) {
	drift, change := split(ops)
	if len(change) > 0 {
		l.log.Infof("%s; peers: %d", summary(change), len(l.peers)-l.unfit.count)
	}
	if len(drift) == 0 {
		return
	}
	text := summary(drift)
	l.log.Warnf("repaired what somebody else changed: %s", text)
	l.repaired += len(drift)
	l.repairs = append(l.repairs, repair{time.Now(), text})
	if more := len(l.repairs) - maxRepairs; more > 0 {
		l.repairs = slices.Delete(l.repairs, 0, more)
	}
}

// maxRepairs bounds how many repairs the status names.
const maxRepairs = 10
