// Package kubernetes is the lease store in the Kubernetes API, as podlaned sees it:
//
//   - A node's pod subnets are the podCIDRs of its Node.
//   - A node announces itself in annotations of its Node.
//   - podlane-kube reads and writes them. It is connected to podlaned by package channel.
//
// The machine decides, and is pure. The Store connects it with the channel. No fault of the API server, of podlane-kube or of
// a Node ends podlaned. The fault is in State.Err, and the node keeps its lease and its peers.
package kubernetes

import (
	"slices"
	"time"

	"github.com/podlane/podlane/channel"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

// Options describes this node.
type Options struct {
	Self    subnet.Self        // the node's identity at the start; Self.Node.Name is the name of its Node
	Changes <-chan subnet.Self // changes of it; the own lease follows. May be nil
	Saved   *store.Saved       // what the node knew before it was started; may be nil
	Program string             // the name and version of this program, for podlane-kube

	// Check returns an error if this node cannot use a lease in a network. May be nil.
	Check func(subnet.Network) error

	Grace time.Duration // how long peers are retained that the API server has lost; default 5 min
}

const defaultGrace = 5 * time.Minute

// machine holds what podlane-kube has sent, and derives the State from it. It does no I/O and reads no clock.
type machine struct {
	opts Options
	self subnet.Self

	connection connection
	config     configuration
	node       channel.Own // the own Node
	set        subnet.Set  // Revision is 0 until podlane-kube has sent the Nodes
	loss       loss
	own        ownLease
}

func newMachine(o Options, now time.Time) *machine {
	if o.Grace <= 0 {
		o.Grace = defaultGrace
	}
	m := &machine{opts: o, self: o.Self, connection: connection{incompleteSince: now}}
	if o.Saved == nil {
		return m
	}
	m.loss.highest = o.Saved.Revision
	m.config.restore(o.Saved.Config)
	return m
}

// setSelf changes the identity of the node. The own lease follows.
func (m *machine) setSelf(self subnet.Self) {
	if self.Previous.IsZero() {
		self.Previous = m.self.Previous
	}
	m.self = self
	m.decide()
}

// receive applies the newest feed. A feed without leases changes no leases: podlane-kube has not sent them yet.
func (m *machine) receive(f channel.Feed, now time.Time) {
	if changed := m.connection.update(f, now); changed {
		m.replace(f.Leases, now)
	}
	m.decide()
}

// replace applies a whole lease set.
func (m *machine) replace(l *channel.Leases, now time.Time) {
	prev := previous{m.set, m.node}
	m.set, m.node = parseSet(l), l.Own
	m.config.apply(l)
	m.recordLoss(l, prev, now)
}

// state returns what is known at a time, as every store delivers it.
func (m *machine) state(now time.Time) store.State {
	m.prune(now)
	st := store.State{
		Config: m.config.raw, Network: m.config.network, Warnings: m.warnings(), Set: m.set,
		Own: m.own.lease, Held: m.held(), Conflict: m.own.conflict,
		Seen: m.connection.seen, Watching: m.connection.watching(now), Feeder: m.connection.program,
		Retained: m.loss.retained.Len(), Losses: m.loss.count,
	}
	if st.Retained > 0 {
		st.Set.Records = slices.Clone(st.Set.Records)
		st.Set = m.loss.retained.AddTo(st.Set)
	}
	if st.Err = m.connection.err(now); st.Err == nil && m.set.Revision > 0 {
		st.Err = m.nodeError()
	}
	return st
}

// nodeError returns why the node has no lease, or why its configuration is not the newest.
func (m *machine) nodeError() error {
	if err := m.config.err(); err != nil {
		return err
	}
	return m.own.err
}

// warnings returns what an operator should know, although the node works.
func (m *machine) warnings() []string {
	warnings := slices.Concat(m.config.warnings, m.own.warnings)
	if text := m.connection.refused(); text != "" {
		warnings = append(warnings, text)
	}
	return warnings
}

// next returns the first time after another time at which the state changes although nothing is received. Zero: never.
func (m *machine) next(after time.Time) time.Time {
	next := m.loss.retained.Next()
	for _, at := range m.connection.deadlines() {
		if at.After(after) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

// revision returns the highest revision of the API server that is known.
func (m *machine) revision() int64 { return m.loss.highest }
