package etcd

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

var errInvalidLease = errors.New("this node's own lease would not be valid")

// session is everything Run knows. Its methods look and decide, and never call etcd; runner does.
type session struct {
	self   subnet.Self
	prefix string  // of the keys in etcd, for errors
	mirror *mirror // nil before the first complete list
	seen   int64   // highest revision of the store that was seen

	config   []byte // the last valid one: of the mirror where it has one, else what was known before
	network  subnet.Network
	chosenBy subnet.Network // the last one that had the own pod subnet
	warnings []string
	badSince error // why the configuration in etcd is not the one in use

	own           holding
	asking        asking
	low           int64               // lowest revision, below seen, that a read returned since the last list; 0: none
	snapshot      int64               // highest revision of the restored snapshot that lacks our pod subnet (restored.go); 0: none
	moveAnnounced int64               // revision of the last announceMove
	retained      map[string]retained // peers that a loss of data took out of etcd
	lost          bool                // data was lost and the configuration may have to be put back
	losses        int                 // how often
	note          string              // Decide's warning
	saved         *store.Saved
	check         func(subnet.Network) error

	restoring restoring // of a lost configuration
	listed    time.Time // time of the first list
}

// holding is the own lease as it was last written or adopted.
type holding struct {
	lease       subnet.Lease // zero: none
	tried       subnet.Lease // the last that was to be written: where the answer was lost it may stand in etcd all the same
	modified    int64        // revision
	ttl         int64        // the etcd lease it hangs on
	reserved    bool         // it hangs on none, and never expires
	expiry      time.Time    // of the etcd lease, unless renewed
	established bool         // it was ours for sure: from then on it is given up only to an older one
}

func (h holding) key() string { return h.lease.Pair().Key() }

func newSession(o Options) session {
	s := session{self: o.Self, retained: map[string]retained{}, saved: o.Saved, check: o.Check}
	if o.Saved == nil {
		return s
	}
	s.seen = o.Saved.Revision
	if n, warnings, err := subnet.ParseNetwork(o.Saved.Config); err == nil {
		s.config, s.network, s.warnings = o.Saved.Config, n, warnings
	}
	if l, ok := o.Saved.Lease(); ok && s.self.Previous.IsZero() {
		s.self.Previous = l.Pair()
	}
	return s
}

// verb is what to do next.
type verb int

const (
	wait         verb = iota // nothing, until something changes
	create                   // create the key of lease
	write                    // write lease over entry by compare-and-swap
	giveBack                 // delete the own key by compare-and-swap
	ask                      // write a claim
	announceMove             // answer a claim: this node has moved
	putConfig                // restore the configuration that etcd has lost
)

// step is a verb with its object.
type step struct {
	verb     verb
	lease    subnet.Lease
	record   subnet.Record   // the current record, to overwrite or to delete
	others   []subnet.Record // leases whose holders to ask; with write and create: leases to delete
	note     string          // for the operator, if it succeeds
	reserved bool            // lease is to hang on no etcd lease
	conflict string
	question question
	err      error     // what stands in the way, until something changes
	at       time.Time // when to look again though nothing changed; zero: never
}

// question is what became of the question to the holders of leases like ours.
type question int

const (
	moot    question = iota // it is not needed any more
	awaited                 // the answer is awaited
	refused                 // a live holder has answered: it is to be asked again from time to time, for it may be gone then
)

// next decides what to do. It has no effects but to note what it concludes about the own lease, and is asked again after
// every change.
func (s *session) next(now time.Time) step {
	switch {
	case s.mirror == nil:
		return step{verb: wait}
	case s.restoresConfig(now):
		return step{verb: putConfig}
	case s.config == nil:
		return step{verb: wait, err: s.badSince, at: s.configBy(now)}
	case s.own.lease == subnet.Lease{}:
		return s.join(now)
	}
	return s.keep(now)
}

// readConfig uses the mirror's configuration if it is valid; otherwise the last valid one stays in use. A deleted
// configuration also counts: it is newer than the one in use.
func (s *session) readConfig() {
	s.badSince = nil
	defer s.judge()
	newest := s.mirror.newestConfig()
	if newest.revision != 0 {
		n, warnings, err := subnet.ParseNetwork(newest.raw)
		if err != nil {
			s.badSince = fmt.Errorf("%w: %w", ErrConfig, err)
		} else {
			s.config, s.network, s.warnings = slices.Clone(newest.raw), n, warnings
		}
		s.restoring.source = fromWatch
	}
	if s.mirror.config.revision == 0 {
		s.badSince = ErrNoConfig
		return
	}
	s.lost, s.restoring = false, restoring{source: fromWatch} // it is back
}

// judge tells the mirror by which networks it finds the rivals of our lease.
func (s *session) judge() {
	if own := s.own.lease; own == (subnet.Lease{}) || s.network.Fits(own.Pair()) {
		s.chosenBy = s.network
	}
	s.mirror.judgeBy(s.network, s.chosenBy)
}

// join decides how a node without a lease gets one.
func (s *session) join(now time.Time) step {
	if s.check != nil {
		if err := s.check(s.network); err != nil {
			return step{verb: wait, err: useless{err}}
		}
	}
	set := s.mirror.set()
	for _, r := range s.retained { // they will be back
		set.Lost = append(set.Lost, r.lease.Pair())
	}
	d, err := subnet.Decide(s.network, s.self, set, s.claim(now))
	if err != nil {
		if s.inUse() { // only this one can be used
			return s.resume(s.savedLease(), now)
		}
		if errors.Is(err, subnet.ErrFull) {
			err = fmt.Errorf("%w; if a node is gone, delete its key with 'etcdctl del %s/%sKEY'; else widen the range with 'podlaned config set'", err, s.prefix, subnets)
		}
		return step{verb: wait, err: err}
	}
	s.note = d.Warning
	switch d.Verdict {
	case subnet.Refuse:
		return step{verb: wait, question: refused, conflict: d.Warning, err: fmt.Errorf("%w: %s", ErrRefused, d.Warning)}
	case subnet.Ask:
		asked := s.asking.on(identity)
		if asked.revision == 0 {
			return step{verb: ask}
		}
		return step{verb: wait, question: awaited, at: asked.until}
	case subnet.TakeOver, subnet.Create:
	}
	return s.take(d, now)
}

// take is the step to the lease that was decided on. Where our pods run on another pod subnet, that one stays ours in
// all but the key, and how it is held decides: it is put back where it is free, and else a conflict.
func (s *session) take(d subnet.Decision, now time.Time) step {
	pair, old := d.Pair, s.savedLease()
	if d.Verdict == subnet.TakeOver {
		pair, old = d.Record.Pair(), d.Record.Lease
	}
	if s.inUse() && pair != s.self.Previous {
		return s.resume(old, now)
	}
	lease := s.self.Lease(s.network, pair, old)
	if d.Verdict == subnet.TakeOver {
		return step{verb: write, lease: lease, record: d.Record, reserved: d.Record.TTLID == 0}
	}
	return step{verb: create, lease: lease}
}

// inUse reports whether our pods may run on a pod subnet that we can still hold.
func (s *session) inUse() bool { return s.self.InUse && s.network.Fits(s.self.Previous) }

// resume returns the step that holds that pod subnet. MACs are copied from the lease old.
func (s *session) resume(old subnet.Lease, now time.Time) step {
	s.own = holding{lease: s.self.Lease(s.network, s.self.Previous, old), established: true}
	return s.keep(now)
}

func (s *session) savedLease() (l subnet.Lease) {
	if s.saved != nil {
		l, _ = s.saved.Lease()
	}
	return l
}

// took notes that the own lease was written.
func (s *session) took(l subnet.Lease, r subnet.Record) {
	s.own.lease, s.own.modified = l, r.Modified
	s.own.ttl, s.own.reserved = r.TTLID, r.TTLID == 0
}

// abandon notes that what was taken is not ours after all: choose again.
func (s *session) abandon() { s.own = holding{} }

// problems is everything an operator should know though nothing stands still.
func (s *session) problems() []string {
	ps := slices.Clone(s.warnings)
	if s.note != "" {
		ps = append(ps, s.note)
	}
	switch {
	case s.restoring.err != nil: // it is reported as etcd's error
	case !s.restoring.at.IsZero():
		ps = append(ps, "the network configuration is missing from etcd: restoring it")
	case s.badSince != nil && s.config != nil:
		ps = append(ps, fmt.Sprintf("%v; the last valid one stays in use", s.badSince))
	}
	if l := s.own.lease; s.own.established && !s.network.Fits(l.Pair()) {
		ps = append(ps, fmt.Sprintf("pod subnet %s is not one of the changed network configuration: it is kept until podlaned is restarted or reloaded", l.Pair()))
	}
	return ps
}
