package main

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

const (
	// debounceTime is how long a fault must exist until it is reported, and be absent until it is over. So a restart of podlaned or
	// a short outage is not reported. A fault of the first start is reported within 30 s.
	debounceTime = 10 * time.Second
	// maxWarnings bounds the Warnings of one kind within warningTime. Each can be followed by a Normal event.
	maxWarnings = 3
	warningTime = time.Hour
)

// change is the beginning or the end of a fault, for an Event.
type change struct {
	fault nodeFault
	over  bool
}

// episode is one occurrence of a kind of fault.
type episode struct {
	fault  nodeFault // the last text
	since  time.Time // when it began
	absent time.Time // since when it is absent; zero: it exists
	active bool      // it is in the condition
	warned bool      // an Event has reported it
}

// episodes decides what is reported, and when. It is pure: no clock, no I/O.
type episodes struct {
	current map[string]*episode    // by reason
	warned  map[string][]time.Time // the recent Warnings, by reason
}

// next applies the current faults. It returns those to report, sorted by reason, and the changes since the last call. decided
// is false while a fault is younger than debounceTime: it may end unreported.
func (e *episodes) next(faults []nodeFault, now time.Time) (active []nodeFault, changes []change, decided bool) {
	if e.current == nil {
		e.current, e.warned = map[string]*episode{}, map[string][]time.Time{}
	}
	for _, x := range e.current {
		if x.absent.IsZero() {
			x.absent = now
		}
	}
	for _, f := range faults {
		if x := e.current[f.reason()]; x != nil {
			x.fault, x.absent = f, time.Time{}
		} else {
			e.current[f.reason()] = &episode{fault: f, since: now}
		}
	}
	decided = true
	for _, reason := range slices.Sorted(maps.Keys(e.current)) {
		x := e.current[reason]
		changes = append(changes, e.advance(x, now)...)
		if x.active {
			active = append(active, x.fault)
		} else if e.current[reason] != nil {
			decided = false
		}
	}
	return active, changes, decided
}

// advance begins or ends an episode if that is due.
func (e *episodes) advance(x *episode, now time.Time) (changes []change) {
	reason := x.fault.reason()
	switch {
	case !x.absent.IsZero() && !x.active, !x.absent.IsZero() && now.Sub(x.absent) >= debounceTime:
		if x.warned {
			changes = append(changes, change{x.fault, true})
		}
		x.active = false
		delete(e.current, reason)
	case x.absent.IsZero() && !x.active && now.Sub(x.since) >= debounceTime:
		x.active = true
		if x.warned = e.mayWarn(reason, now); x.warned {
			changes = append(changes, change{x.fault, false})
		}
	}
	return changes
}

// mayWarn reports whether a kind may have another Warning, and counts it.
func (e *episodes) mayWarn(reason string, now time.Time) bool {
	maps.DeleteFunc(e.warned, func(_ string, at []time.Time) bool { return now.Sub(at[len(at)-1]) >= warningTime })
	recent := slices.DeleteFunc(e.warned[reason], func(at time.Time) bool { return now.Sub(at) >= warningTime })
	if len(recent) >= maxWarnings {
		return false
	}
	e.warned[reason] = append(recent, now)
	return true
}

// sameKinds reports whether two sorted lists have faults of the same kinds.
func sameKinds(a, b []nodeFault) bool {
	return slices.CompareFunc(a, b, func(x, y nodeFault) int { return cmp.Compare(x.reason(), y.reason()) }) == 0
}

// hasKind reports whether a list has a fault of the same kind.
func hasKind(list []nodeFault, f nodeFault) bool {
	return slices.ContainsFunc(list, func(x nodeFault) bool { return x.reason() == f.reason() })
}
