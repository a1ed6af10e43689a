// Package machine decides how a node joins, and how it gets and holds its lease, in a store of keys with revisions.
//
// It is pure: no I/O, no clock, no goroutine. A store client reports what it has read (Replace, Watched, CatchUp, Read) and
// asks Next what to do. A step is at most one compare-and-swap (Txn). The client executes it and reports the result
// (Committed, or Read for each key that the store returned). Then it asks Next again.
package machine

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

// The errors of a step.
var (
	ErrNoConfig     = errors.New("there is no network configuration in etcd: write one with 'podlaned config set'")
	ErrConfig       = errors.New("the network configuration in etcd is not valid") // wraps the error in it
	ErrRefused      = errors.New("refused")                                        // another live node has our public address
	ErrInvalidLease = errors.New("this node's own lease would not be valid")
)

// UnusableError is the error of Options.Check: a lease would be of no use on this node.
type UnusableError struct{ error }

func (e UnusableError) Unwrap() error { return e.error }

// Options describes the node.
type Options struct {
	Self   subnet.Self
	Saved  *store.Saved               // what the node knew before it was started; may be nil
	Prefix string                     // of the keys, for errors
	Check  func(subnet.Network) error // returns why a lease in a network would be of no use on this node; may be nil
	Config func() []byte              // returns a valid configuration to write if the store has none, or nil; may be nil

	AnswerTime time.Duration // how long the holder of a lease has to answer a claim
	AskEvery   time.Duration // how long after the end of AnswerTime a holder that has answered is asked again
	Grace      time.Duration // how long leases are retained that the store has lost

	// Random returns a random duration below a limit. Nil: math/rand.
	Random func(time.Duration) time.Duration
}

// Machine holds what a node knows of the store, and its own lease.
type Machine struct {
	opts   Options
	self   subnet.Self
	mirror *Mirror // nil before the first complete list
	seen   int64   // the highest revision of the store so far

	config    []byte // the last valid one: of the mirror, else the one that was known before
	network   subnet.Network
	chosenBy  subnet.Network // the last one that had the own pod subnet
	warnings  []string       // of the configuration
	configErr error          // why the configuration in the store is not the one in use

	own           ownLease
	claim         ownClaim
	low           int64 // lowest revision below seen that a read has returned since the last list; 0: none
	snapshot      int64 // highest revision of the restored snapshot that lacks our pod subnet (snapshot.go); 0: none
	moveAnnounced int64 // revision of the last AnnounceMove

	retained      store.Retention // peers that the store has lost
	lost          bool            // the store lost data, and has not had a configuration since
	losses        int
	warning       string // of the last decision
	configRestore configRestore
	listed        time.Time // time of the first list
}

// ownLease is the own lease as it was last written or adopted.
type ownLease struct {
	lease       subnet.Lease // zero: none
	tried       subnet.Lease // the last one to be written. The store's answer may be lost, so it may be in the store
	modified    int64        // revision
	ttlID       int64        // of the time to live of its key; 0: none
	reserved    bool         // the key needs no time to live, and never expires
	expiry      time.Time    // when the time to live ends unless it is renewed
	established bool         // it was certainly ours: from then on the node gives it up only to an older lease
}

func (o ownLease) key() string { return o.lease.Pair().Key() }

// New returns a machine that has read nothing yet.
func New(o Options) *Machine {
	if o.Random == nil {
		o.Random = rand.N[time.Duration]
	}
	m := &Machine{opts: o, self: o.Self}
	if o.Saved == nil {
		return m
	}
	m.seen = o.Saved.Revision
	if n, warnings, err := subnet.ParseNetwork(o.Saved.Config); err == nil {
		m.config, m.network, m.warnings = o.Saved.Config, n, warnings
	}
	if l, ok := o.Saved.Lease(); ok && m.self.Previous.IsZero() {
		m.self.Previous = l.Pair()
	}
	return m
}

// Next decides what to do. Its only effect is that the machine records its conclusions. Call it after each change, and at
// Step.At.
func (m *Machine) Next(now time.Time) Step {
	if m.mirror == nil {
		return Step{Verb: Wait}
	}
	m.prune(now)
	st := m.decide(now)
	if st.Verb == Wait {
		st = m.completeWait(st, now)
	}
	if m.own.established && st.Err == nil {
		st.Err = m.configRestore.err
	}
	for _, at := range []time.Time{m.retained.Next(), m.configRestore.at} {
		st.At = earlier(st.At, at)
	}
	return st
}

func (m *Machine) decide(now time.Time) Step {
	missing := m.configToWrite(now)
	switch {
	case missing != nil:
		return Step{Verb: RestoreConfig, config: missing}
	case m.config == nil:
		return m.awaitConfig(now)
	case m.own.lease == subnet.Lease{}:
		return m.join(now)
	}
	return m.hold(now)
}

// earlier returns the earlier of two times. The zero time is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// SetSelf changes the identity of the node; the own lease follows. It reports whether a public address has changed. A claim
// about the former address is then dropped.
func (m *Machine) SetSelf(self subnet.Self) (moved bool) {
	was := m.self
	if self.Previous.IsZero() {
		self.Previous = was.Previous
	}
	m.self = self
	if self.PublicIP == was.PublicIP && self.PublicIPv6 == was.PublicIPv6 {
		return false
	}
	m.claim = m.claim.on(podSubnet)
	return true
}

// State returns what the machine knows, as every store delivers it.
func (m *Machine) State() store.State {
	st := store.State{
		Config: m.config, Network: m.network, Warnings: m.problems(), Retained: m.retained.Len(), Held: m.holds(), Losses: m.losses,
	}
	if m.mirror != nil {
		st.Set, st.ConfigRevision = m.retained.AddTo(m.mirror.Set()), m.mirror.config.revision
	}
	if m.own.established {
		st.Own = m.own.lease
	}
	if m.own.established && !m.own.reserved {
		st.Expiry = m.own.expiry
	}
	return st
}

// problems returns what an operator should know, although the node works.
func (m *Machine) problems() []string {
	ps := slices.Clone(m.warnings)
	if m.warning != "" {
		ps = append(ps, m.warning)
	}
	return append(ps, m.configProblems()...)
}

// Listed reports whether the machine has a complete list.
func (m *Machine) Listed() bool { return m.mirror != nil }

// Revision returns the revision up to which the mirror is complete.
func (m *Machine) Revision() int64 { return m.mirror.revision }

// NeedsWatch reports whether the node needs a watch. A node that joins needs none as long as reads show it all it has missed.
func (m *Machine) NeedsWatch() bool { return m.own.established || m.mirror.partial }

// Established reports whether the own lease was certainly ours.
func (m *Machine) Established() bool { return m.own.established }

// Reserved reports whether the own key has no time to live.
func (m *Machine) Reserved() bool { return m.own.reserved }

// Unconfirmed reports whether the mirror has the own key, but is not complete up to its creation: the watch has not
// brought it yet.
func (m *Machine) Unconfirmed() bool {
	e, present := m.ownEntry()
	return present && !m.knowsOlder(e)
}

// UsesTTL reports whether a lease has the time to live with this id. 0 is none.
func (m *Machine) UsesTTL(id int64) bool { return m.mirror.usesTTL(id) }

// TTLGranted records the expiry of the time to live with this id, if the own key has it.
func (m *Machine) TTLGranted(id int64, expiry time.Time) {
	if e, present := m.ownEntry(); present && e.record.TTLID == id {
		m.own.expiry = expiry
	}
}

// TTLGone records that the time to live of the own key is gone, so that the key is written with a new one.
func (m *Machine) TTLGone() { m.own.ttlID = 0 }
