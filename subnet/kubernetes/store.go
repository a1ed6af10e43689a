package kubernetes

import (
	"context"
	"sync"
	"time"

	"github.com/podlane/podlane/channel"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

const (
	// deliveryGap is the least time between two deliveries. In a burst, only the state after the newest message is delivered. After
	// a slow delivery the gap is four times as long as the delivery.
	deliveryGap = 50 * time.Millisecond
	// listenEvery is the time between two attempts to listen on the socket.
	listenEvery = 5 * time.Second
)

// Store is the lease store of a node whose podlane-kube connects to a socket in a run folder.
type Store struct {
	runDir      string
	listenEvery time.Duration
}

// New returns the store. It opens nothing: Run listens on the socket.
func New(runDir string) *Store { return &Store{runDir, listenEvery} }

// Run listens for podlane-kube, and calls deliver with the newest state after every change. deliver must not block for long.
// It returns nil when ctx ends. The node's annotations stay as they are.
func (s *Store) Run(ctx context.Context, opts Options, deliver func(store.State)) error {
	r := &runner{
		Store: s, opts: opts, deliver: deliver, machine: newMachine(opts, time.Now()),
		feeds: make(chan channel.Feed, 1),
	}
	defer r.serving.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for ctx.Err() == nil {
		r.listen(ctx)
		r.announce()
		r.report()
		r.wait(ctx)
	}
	return nil
}

// runner connects a machine with the channel. Only the server runs on other goroutines.
type runner struct {
	*Store
	opts    Options
	machine *machine
	deliver func(store.State)

	server   *channel.Server // nil: it could not listen yet
	serving  sync.WaitGroup
	feeds    chan channel.Feed // only the newest
	listenAt time.Time         // when to try again

	announced subnet.Lease // what the server announces; zero: nothing yet
	changed   bool         // the state is to be delivered
	reported  time.Time    // the time of the last delivered state
	notBefore time.Time
}

// listen opens the socket, if it is not open and an attempt is due. A failure is a fault of the connection.
func (r *runner) listen(ctx context.Context) {
	now := time.Now()
	if r.server != nil || now.Before(r.listenAt) {
		return
	}
	r.listenAt, r.changed = now.Add(r.listenEvery), true
	server, err := channel.Listen(ctx, r.runDir)
	if err != nil {
		r.machine.receive(channel.Feed{Fault: err.Error()}, now)
		return
	}
	r.server = server
	server.SetRevision(r.machine.revision())
	r.announce() // before the first hello
	hello := channel.Hello{Version: channel.Version, Program: r.opts.Program, Node: r.opts.Self.Node.Name}
	r.serving.Go(func() { server.Run(ctx, hello, r.put) })
}

// put keeps only the newest feed. The server must not wait for the loop.
func (r *runner) put(f channel.Feed) {
	select {
	case <-r.feeds:
	default:
	}
	r.feeds <- f
}

// announce gives the server the announcement if it has changed.
func (r *runner) announce() {
	if r.server == nil {
		return
	}
	if l := r.machine.own.announced; l != r.announced {
		r.announced = l
		r.server.Announce(channel.Announcement{Lease: store.SavedLease{Key: l.Pair().Key(), Value: l.Value()}})
	}
}

// report delivers the state if it has changed and the gap is over.
func (r *runner) report() {
	start := time.Now()
	if !r.changed || start.Before(r.notBefore) {
		return
	}
	r.changed, r.reported = false, start
	r.deliver(r.machine.state(start))
	r.notBefore = time.Now().Add(max(deliveryGap, 4*time.Since(start)))
}

// wait applies the next message or change of this node. It returns earlier if something is due.
func (r *runner) wait(ctx context.Context) {
	var due <-chan time.Time
	if at := r.nextAt(); !at.IsZero() {
		timer := time.NewTimer(time.Until(at))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-ctx.Done():
	case now := <-due:
		changes := r.machine.next(r.reported)
		r.changed = r.changed || !changes.IsZero() && !now.Before(changes)
	case f := <-r.feeds:
		r.machine.receive(f, time.Now())
		if f.Leases != nil {
			f.Leases.Leases = nil // they are parsed: beside 5,000 peers they need 2 MB
		}
		r.changed = true
	case self, more := <-r.opts.Changes:
		if !more {
			r.opts.Changes = nil
			break
		}
		r.machine.setSelf(self)
		r.changed = true
	}
}

// nextAt returns when something is due; zero: never.
func (r *runner) nextAt() time.Time {
	at := r.notBefore
	if !r.changed {
		at = r.machine.next(r.reported)
	}
	if r.server == nil && (at.IsZero() || r.listenAt.Before(at)) {
		at = r.listenAt
	}
	return at
}
