package machine

import (
	"errors"
	"fmt"
	"time"

	"github.com/podlane/podlane/subnet"
)

// How does a node without a lease get one?

// join decides how a node without a lease gets one.
func (m *Machine) join(now time.Time) Step {
	if m.opts.Check != nil {
		if err := m.opts.Check(m.network); err != nil {
			return Step{Verb: Wait, Err: UnusableError{err}}
		}
	}
	set := m.mirror.Set()
	for _, l := range m.retained.Leases() { // their nodes will write them again
		set.Lost = append(set.Lost, l.Pair())
	}
	d, err := subnet.Decide(m.network, m.self, set, m.identityClaim(now))
	if err != nil {
		if m.inUse() { // the node can use only this one
			return m.resume(m.savedLease(), now)
		}
		if errors.Is(err, subnet.ErrFull) {
			err = fmt.Errorf("%w; if a node is gone, delete its key with 'etcdctl del %s/%sKEY'; else widen the range with 'podlaned config set'", err, m.opts.Prefix, Leases)
		}
		return Step{Verb: Wait, Err: err}
	}
	m.warning = d.Warning
	switch d.Verdict {
	case subnet.Refuse:
		return Step{Verb: Wait, answer: answered, Conflict: d.Warning, Err: fmt.Errorf("%w: %s", ErrRefused, d.Warning)}
	case subnet.Ask:
		asked := m.claim.on(identity)
		if asked.revision == 0 {
			return Step{Verb: Ask}
		}
		return Step{Verb: Wait, answer: awaited, At: asked.until}
	case subnet.TakeOver, subnet.Create:
	}
	return m.firstWrite(d, now)
}

// firstWrite returns the step that writes the lease of a decision. If our pods run on another pod subnet, the node keeps
// that one. It writes it again if it is free. Otherwise there is a conflict.
func (m *Machine) firstWrite(d subnet.Decision, now time.Time) Step {
	pair, old := d.Pair, m.savedLease()
	if d.Verdict == subnet.TakeOver {
		pair, old = d.Record.Pair(), d.Record.Lease
	}
	if m.inUse() && pair != m.self.Previous {
		return m.resume(old, now)
	}
	lease := m.self.Lease(m.network, pair, old)
	if d.Verdict == subnet.TakeOver {
		return Step{Verb: Write, Lease: lease, Record: d.Record, Reserved: d.Record.TTLID == 0}
	}
	return Step{Verb: Create, Lease: lease}
}

// inUse reports whether our pods may run on a pod subnet that we can still hold.
func (m *Machine) inUse() bool { return m.self.InUse && m.network.Fits(m.self.Previous) }

// resume returns the step that holds the pod subnet on which our pods may run. MACs are copied from the lease old.
func (m *Machine) resume(old subnet.Lease, now time.Time) Step {
	m.own = ownLease{lease: m.self.Lease(m.network, m.self.Previous, old), established: true}
	return m.hold(now)
}

func (m *Machine) savedLease() (l subnet.Lease) {
	if m.opts.Saved != nil {
		l, _ = m.opts.Saved.Lease()
	}
	return l
}
