package kubernetes

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/podlane/podlane/channel"
)

const (
	// maxAbsence is how long podlane-kube may be disconnected before that is an error. A restart takes longer, a reconnect does not.
	maxAbsence = 2 * time.Second
	// startTime is the time for podlane-kube to start and to list the Nodes. Until then it is no error that podlaned has none.
	// If the API server does not answer, podlane-kube reports that sooner: after 10 s.
	startTime = 15 * time.Second
	// maxMessageAge is the age of the last message above which changes may be missing. A message comes every 5 s.
	maxMessageAge = 15 * time.Second
)

// connection holds the state of the connection to podlane-kube.
type connection struct {
	connected       bool
	number          int       // of the newest connection; 0: there was none
	program         string    // the program at the other end; empty: none
	fault           string    // why there is no connection, or why another one was refused
	source          string    // why podlane-kube does not know the newest state; empty: it knows it
	complete        bool      // this connection has delivered the Nodes
	incompleteSince time.Time // when complete became false; unused while it is true
	seen            time.Time // when podlane-kube last had the newest state
	newest          *channel.Leases
}

// update applies a feed. It reports whether the feed has other leases than the previous one.
func (c *connection) update(f channel.Feed, now time.Time) (changed bool) {
	complete := f.Connected && f.Leases != nil
	if c.complete && !complete {
		c.incompleteSince = now
	}
	c.number = f.Connection
	c.connected, c.program, c.fault, c.source, c.complete = f.Connected, f.Program, f.Fault, "", complete
	if !f.Connected {
		c.program = ""
	}
	if f.Connected && f.Source != nil {
		c.source = f.Source.Fault
	}
	if complete && f.Source != nil && c.source == "" {
		c.seen = f.At
	}
	changed = complete && f.Leases != c.newest
	if complete {
		c.newest = f.Leases
	}
	return changed
}

// watching reports whether changes arrive at once.
func (c *connection) watching(now time.Time) bool {
	return c.complete && c.source == "" && now.Sub(c.seen) < maxMessageAge
}

// patience returns how long the Nodes may be missing before that is an error. Before the first ones, podlane-kube may still be
// starting. A refused or ended connection is a fault even then.
func (c *connection) patience() time.Duration {
	if c.newest == nil && (c.connected || c.fault == "") {
		return startTime
	}
	return maxAbsence
}

// err returns why the newest state is not known.
func (c *connection) err(now time.Time) error {
	late := !c.complete && now.Sub(c.incompleteSince) >= c.patience()
	switch {
	case !c.connected && late:
		return fmt.Errorf("podlane-kube is not connected: %s", cmp.Or(c.fault, "it has not connected to the socket "+channel.Socket))
	case c.connected && c.source != "":
		return errors.New(c.source)
	case c.connected && late:
		return errors.New("podlane-kube is connected, and has not sent the Nodes yet")
	}
	return nil
}

// refused returns a sentence about another connection that was refused or replaced, while one exists; empty: there was none.
func (c *connection) refused() string {
	if !c.connected {
		return ""
	}
	return c.fault
}

// deadlines returns when err or watching changes although nothing is received.
func (c *connection) deadlines() []time.Time {
	if c.complete {
		return []time.Time{c.seen.Add(maxMessageAge)}
	}
	return []time.Time{c.incompleteSince.Add(c.patience())}
}
