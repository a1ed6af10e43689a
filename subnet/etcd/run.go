package etcd

import (
	"context"
	"errors"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/machine"
	"github.com/podlane/podlane/subnet/store"
)

// Run lists and watches the leases of all nodes, and gets and holds this node's own lease. It calls deliver with the newest
// state after every change; deliver must not block for long. It returns nil when ctx ends. The own lease stays in etcd.
//
// It returns an error only if waiting does not help:
//   - Options.Check returns an error: a lease would be of no use.
//   - There is no configuration (ErrNoConfig), or no valid one (ErrConfig).
//   - The node is refused (ErrRefused), or gets no pod subnet (subnet.ErrFull).
//   - The node's own lease would not be valid (machine.ErrInvalidLease).
//   - etcd denies access (ErrDenied).
//
// Only the first of these ends Run on a node that has held a lease or has a saved state, and with Options.RetryForever. All other
// errors are in State.Err, and Run tries again.
func (s *Store) Run(ctx context.Context, opts Options, deliver func(store.State)) error {
	r := newRunner(s, opts, deliver)
	defer func() { r.feed.stop() }()
	for ctx.Err() == nil {
		err := r.reconcile(ctx)
		if ctx.Err() != nil {
			break
		}
		if r.final(err) {
			if r.client != nil {
				r.endClaim(ctx)
			}
			return err
		}
		r.report(err)
		r.wait(ctx)
	}
	return nil
}

// runner executes what a machine decides. It runs on one goroutine.
type runner struct {
	store   *Store
	client  *clientv3.Client // nil: no connection
	opts    Options
	machine *machine.Machine
	feed    *feed // the watch
	health  watchHealth
	// mustCompare: there is a new connection, and no watch may start before etcd's history was compared with the mirror.
	mustCompare bool
	deliver     func(store.State)

	schedule schedule
	pace     pace
	ttl      timeToLive
	calls    calls
	writing  writing
	listing  listing
	last     machine.Step // the last decision
	seen     time.Time    // when etcd last answered
	delivery
}

// calls holds the attempts to call etcd.
type calls struct {
	tried    time.Time // when the last attempt began
	failures int       // failed attempts in a row
}

// writing holds what is known about the last write.
type writing struct {
	unsure string // the name of a key that was written without an answer; empty: none
	err    error  // why the due write failed; nil: none is due, or it was not tried yet
}

// listing holds what is known about the lists.
type listing struct {
	count      int       // since the start
	last       time.Time // when the last one began
	mismatches int       // checks in a row that have found a difference
}

func newRunner(s *Store, opts Options, deliver func(store.State)) *runner {
	opts = opts.withDefaults()
	return &runner{store: s, opts: opts, deliver: deliver, machine: machine.New(machine.Options{
		Self: opts.Self, Saved: opts.Saved, Prefix: s.prefix, Check: opts.Check, Config: opts.Config,
		AnswerTime: opts.AnswerTime, AskEvery: opts.CheckEvery, Grace: opts.Grace,
	})}
}

// final reports whether an error ends Run. An error of etcd ends only a node that can do nothing without etcd.
func (r *runner) final(err error) bool {
	if err == nil || r.machine.Established() || errors.Is(err, ErrNoConfig) && r.machine.AwaitsConfig(time.Now()) {
		return false
	}
	var unusable machine.UnusableError
	return errors.As(err, &unusable) || fatal(err) && r.opts.Saved == nil && !r.opts.RetryForever
}

// reconcile does all that is due. The error is why the node waits.
func (r *runner) reconcile(ctx context.Context) error {
	now := time.Now()
	if r.schedule.after(retryCall, now) {
		return r.err
	}
	r.calls.tried = now
	changed, err := r.attempt(ctx)
	if changed {
		r.schedule.set(retryCall, time.Now())
		return r.err
	}
	if r.writing.err != nil && !errors.Is(r.writing.err, machine.ErrInvalidLease) {
		r.adopt(ctx)
	}
	if err != nil {
		r.calls.failures++
		r.schedule.set(retryCall, time.Now().Add(backOff(r.calls.failures)))
		return err
	}
	r.calls.failures = 0
	r.schedule.clear(retryCall)
	return r.last.Err
}

// attempt does the work of one attempt, and reports whether the node's identity has changed meanwhile. If an address has
// changed, the current calls end at once: over connections from the former address they would only time out.
func (r *runner) attempt(ctx context.Context) (changed bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	was, done, selves := r.opts.Self, make(chan struct{}), make(chan subnet.Self, 1)
	go func() {
		defer close(selves)
		select {
		case <-done:
		case self, more := <-r.opts.Changes:
			if more {
				selves <- self
			}
			if more && (self.PublicIP != was.PublicIP || self.PublicIPv6 != was.PublicIPv6) {
				cancel()
			}
		}
	}()
	err = r.work(ctx)
	close(done)
	for self := range selves {
		r.setSelf(self)
		changed = true
	}
	return changed, err
}

// work does all that is due: it connects, lists, checks, decides and renews. The first error ends it, except that a refused
// write does not prevent the renewal.
func (r *runner) work(ctx context.Context) error {
	r.replaceSilentWatch()
	if r.client == nil {
		client, err := r.store.connect(ctx)
		if err != nil {
			return err
		}
		r.client = client
	}
	if !r.machine.Listed() || r.schedule.due(listAll, time.Now()) {
		if err := r.list(ctx); err != nil {
			return err
		}
	}
	if r.mustCompare {
		if err := r.compareAfterReconnect(ctx); err != nil {
			return err
		}
	}
	r.watchIfNeeded(ctx)
	defer r.startWatch(ctx) // also after an error
	if r.writing.unsure != "" {
		if err := r.read(ctx, r.writing.unsure); err != nil {
			return err
		}
		r.writing.unsure = ""
	}
	if r.schedule.due(checkStore, time.Now()) {
		if err := r.check(ctx); err != nil {
			return err
		}
	}
	err := r.decide(ctx)
	if r.schedule.due(renewTTL, time.Now()) && !noAnswer(err) { // an etcd that refuses a write may still renew our lease
		if renewErr := r.renew(ctx); err == nil {
			err = renewErr
		}
	}
	return err
}

// wait returns when there may be something to do.
func (r *runner) wait(ctx context.Context) {
	r.schedule.setIf(decideAgain, r.last.At)
	r.schedule.setIf(endWatch, r.health.silentAt())
	timer := time.NewTimer(time.Until(r.schedule.next(time.Now())))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case self, more := <-r.opts.Changes:
		if !more {
			r.opts.Changes = nil
			break
		}
		r.setSelf(self)
	case <-r.store.connected:
		r.reconnected()
	case resp, more := <-r.feed.source():
		r.receive(resp, more)
		r.drain()
	}
}

// setSelf applies a changed identity. Connections from a former address would only time out, so a changed address begins with
// new ones.
func (r *runner) setSelf(self subnet.Self) {
	r.opts.Self = self
	if !r.machine.SetSelf(self) || r.client == nil {
		return
	}
	r.schedule.clear(retryCall)
	r.disconnect()
}

// reconnected ends the watch until etcd was compared with the mirror, and brings the next attempt forward, because there is a
// new connection. If connections break as soon as they are made, that is at most twice a second. Without a client it changes
// nothing: each attempt to make one is a new connection.
func (r *runner) reconnected() {
	if r.client == nil {
		return
	}
	r.stopWatch()
	r.compareFirst()
	if soon := r.calls.tried.Add(500 * time.Millisecond); r.schedule.after(retryCall, soon) {
		r.schedule.set(retryCall, soon)
	}
}

// answered records that etcd answers.
func (r *runner) answered() { r.seen, r.news = time.Now(), true }
