package etcd

import (
	"cmp"
	"context"
	"errors"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

// Run lists and watches the leases of all nodes, takes this node's own lease, and holds it. It calls deliver with the
// newest state after every change; deliver must not block for long. It returns nil when ctx ends, and an error only
// where waiting does not help: the node has never held a lease, there is no saved state, and there is no configuration,
// or no valid one (ErrNoConfig, ErrConfig), the node is refused (ErrRefused, subnet.ErrFull), or etcd denies access
// (ErrDenied); or Options.Check says that a lease would be of no use. Everything else stands in State.Err, and Run goes
// on trying. The own lease stays in etcd.
func (s *Store) Run(ctx context.Context, opts Options, deliver func(store.State)) error {
	opts = opts.withDefaults()
	r := &runner{store: s, opts: opts, session: newSession(opts), deliver: deliver}
	r.session.prefix = s.prefix
	defer func() { r.feed.stop() }()
	for ctx.Err() == nil {
		err := r.pass(ctx)
		if ctx.Err() != nil {
			break
		}
		if r.hopeless(err) {
			if r.client != nil {
				r.takeBack(ctx)
			}
			return err
		}
		r.report(err)
		r.wait(ctx)
	}
	return nil
}

// hopeless tells whether an error ends Run. What is wrong with etcd ends only a node that has nothing to go on with.
func (r *runner) hopeless(err error) bool {
	if err == nil || r.session.own.established || errors.Is(err, ErrNoConfig) && !r.session.configBy(time.Now()).IsZero() {
		return false
	}
	var u useless
	return errors.As(err, &u) || fatal(err) && r.opts.Saved == nil
}

// runner is the effects around a session. It runs on one goroutine.
type runner struct {
	store   *Store
	client  *clientv3.Client
	opts    Options
	session session
	feed    *feed
	hearing hearing
	deliver func(store.State)

	ttl      int64     // the etcd lease for the own key; 0: none is granted yet
	expiry   time.Time // of it
	renewAt  time.Time // when it is due
	checkAt  time.Time // when to ask etcd whether it still is where we saw it
	doubts   int       // how often in a row it was elsewhere
	listAt   time.Time // when to list; zero: the mirror is good
	listed   time.Time // the last time
	retryAt  time.Time // when to try again what etcd did not answer
	tried    time.Time // the last time
	writeAt  time.Time // when the own key may be written again
	returned int       // how often in a row a key was given back before it was ours for sure
	failures int       // in a row

	unsure   subnet.Lease // it was written without an answer
	owed     error        // why the due write failed; nil: none is due, or it was not tried yet
	last     step         // the last decision
	seen     time.Time
	lists    int
	err      error
	faults   []string  // of the files, as last delivered
	dirty    bool      // there is something new to deliver
	reportAt time.Time // but not before
}

// pass does all that is due. An error is what stands in the way; it does not have to be reported twice.
func (r *runner) pass(ctx context.Context) error {
	now := time.Now()
	if now.Before(r.retryAt) {
		return r.err
	}
	r.tried = now
	changed, err := r.attempt(ctx)
	if changed {
		r.retryAt = time.Now()
		return r.err
	}
	if r.owed != nil && !errors.Is(r.owed, errInvalidLease) {
		r.adopt(ctx)
	}
	if err != nil {
		r.failures++
		r.retryAt = time.Now().Add(backOff(r.failures))
		return err
	}
	r.failures, r.retryAt = 0, time.Time{}
	if r.session.own.established {
		return cmp.Or(r.last.err, r.session.restoring.err)
	}
	return r.last.err
}

// attempt works, and tells whether the node is another meanwhile. Calls that are under way when it gets another address
// end at once: over connections from the old one they would only time out.
func (r *runner) attempt(ctx context.Context) (changed bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	was, done, selves := r.session.self, make(chan struct{}), make(chan subnet.Self, 1)
	go func() {
		defer close(selves)
		select {
		case <-done:
		case self, more := <-r.opts.Changes:
			if more {
				selves <- self
			}
			if more && !sameAddresses(self, was) {
				cancel()
			}
		}
	}()
	err = r.work(ctx)
	close(done)
	for self := range selves {
		r.become(self)
		changed = true
	}
	return changed, err
}

func (r *runner) work(ctx context.Context) error {
	r.listen()
	if r.client == nil {
		client, err := r.store.connect(ctx)
		if err != nil {
			return err
		}
		r.client = client
	}
	if r.session.mirror == nil || due(r.listAt) {
		if err := r.list(ctx); err != nil {
			return err
		}
	}
	r.resume(ctx)
	defer r.follow(ctx) // whatever comes of it, there is a watch afterwards
	if r.unsure != (subnet.Lease{}) {
		if err := r.look(ctx, subnets+r.unsure.Pair().Key()); err != nil {
			return err
		}
		r.unsure = subnet.Lease{}
	}
	if due(r.checkAt) {
		if err := r.check(ctx); err != nil {
			return err
		}
	}
	err := r.act(ctx)
	if due(r.renewAt) && !silent(err) { // an etcd that refuses a write may still renew our lease
		err = cmp.Or(err, r.renew(ctx))
	}
	return err
}

// relist makes everything be listed again, at once but not more than once a second.
func (r *runner) relist() {
	if r.listAt.IsZero() {
		r.listAt = r.listed.Add(time.Second)
	}
}

func (r *runner) list(ctx context.Context) error {
	r.listed = time.Now()
	r.unfollow()
	then, err := r.past(ctx)
	var m *mirror
	if err == nil {
		first := r.lists == 0
		m, err = r.store.list(ctx, func() {
			if first { // the connection was made for this page, which has nothing before it to check
				first = false
				select {
				case <-r.store.connected:
				default:
				}
			}
			r.answered()
			r.report(r.err)
		})
	}
	if err != nil {
		r.listAt = time.Now()
		return err
	}
	r.answered()
	r.listAt = time.Time{}
	r.lists++
	r.doubts = 0
	if r.session.replace(m, then == otherPast, time.Now(), r.opts.Grace) && r.session.own.established {
		r.renewAt = time.Now() // the etcd lease may be lost too
	}
	r.checkAt = r.checkIn()
	r.resume(ctx)
	return nil
}

// wait returns when there may be something to do.
func (r *runner) wait(ctx context.Context) {
	timer := time.NewTimer(time.Until(r.wakeAt()))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case self, more := <-r.opts.Changes:
		if !more {
			r.opts.Changes = nil
			break
		}
		r.become(self)
	case <-r.store.connected:
		r.reconnected()
	case resp, more := <-r.feed.source():
		r.receive(resp, more)
		r.drain()
	}
}

// become takes over a changed identity. Connections from an address that the node has no more would only time out, so a
// changed address begins with new ones, and what was asked about the old one means nothing for the new.
func (r *runner) become(self subnet.Self) {
	was := r.session.self
	if self.Previous.IsZero() {
		self.Previous = was.Previous
	}
	r.session.self = self
	if sameAddresses(self, was) {
		return
	}
	r.session.asking = r.session.asking.on(podSubnet)
	if r.client == nil {
		return
	}
	r.retryAt = time.Time{}
	r.hangUp()
}

func sameAddresses(a, b subnet.Self) bool {
	return a.PublicIP == b.PublicIP && a.PublicIPv6 == b.PublicIPv6
}

// reconnected brings the next call forward. Connections that break as soon as they are made bring it to twice a second.
// Without a lasting client nothing is brought forward: each attempt to make one is a new connection.
func (r *runner) reconnected() {
	if r.client == nil {
		return
	}
	if r.session.mirror != nil {
		r.checkAt = time.Now()
	}
	if soon := r.tried.Add(500 * time.Millisecond); r.retryAt.After(soon) {
		r.retryAt = soon
	}
}

// answered notes that etcd answers.
func (r *runner) answered() { r.seen, r.dirty = time.Now(), true }

// wakeAt is when something is due.
func (r *runner) wakeAt() time.Time {
	at := time.Now().Add(time.Hour)
	dues := []time.Time{r.listAt, r.checkAt, r.renewAt, r.last.at, r.session.pruneAt(), r.session.restoring.at, r.hearing.deafAt()}
	if !r.retryAt.IsZero() {
		dues = []time.Time{r.retryAt}
	}
	if r.dirty {
		dues = append(dues, r.reportAt)
	}
	for _, t := range dues {
		if !t.IsZero() && t.Before(at) {
			at = t
		}
	}
	return at
}
