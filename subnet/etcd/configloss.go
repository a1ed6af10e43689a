package etcd

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/podlane/podlane/subnet"
)

// The configuration alone can be deleted by mistake. Then no new node can join. A node that knows its newest revision
// restores it, if no other node did before. A node that followed the watch up to the deletion knows that revision. A node
// that was away may have missed a change, so it waits for the others. A node that has only the saved configuration restores
// it only after a loss of data.

// source is how this node knows a configuration that etcd no longer has. A start begins with the zero value.
type source int

const (
	fromSaved source = iota // from before this start
	fromList                // from etcd, but the deletion was first seen in a list or another read
	fromWatch               // from etcd, with every change up to the deletion
)

// The time that a node waits for nodes that know the configuration better. Each adds a random part of restoreSpread, so
// that not all nodes write at the same time.
const (
	listPatience  = time.Second
	savedPatience = 5 * time.Second
	restoreSpread = 500 * time.Millisecond
	restoreRetry  = 5 * time.Second // after a refusal
	configWait    = savedPatience + 5*time.Second
)

// restoring is the state of restoring a missing configuration to etcd.
type restoring struct {
	source source
	at     time.Time // when to write it; zero: there is nothing to write
	err    error     // why etcd refused it
}

// restoresConfig reports whether to write the configuration now. Otherwise it records when.
func (s *session) restoresConfig(now time.Time) bool {
	if s.mirror.config.revision != 0 || s.config == nil || s.restoring.source == fromSaved && !s.lost {
		s.restoring.at = time.Time{}
		return false
	}
	if s.restoring.at.IsZero() {
		patience := map[source]time.Duration{fromSaved: savedPatience, fromList: listPatience}[s.restoring.source]
		s.restoring.at = now.Add(patience + rand.N(restoreSpread)) //nolint:gosec // no secret
	}
	return !now.Before(s.restoring.at)
}

// refused records why etcd refused the configuration. Nothing else is affected.
func (r *restoring) refused(err error, now time.Time) {
	r.at = now.Add(restoreRetry)
	r.err = fmt.Errorf("the network configuration is missing from etcd and this node cannot restore it: %w", err)
}

// configBy returns until when a node that knows no configuration waits for the holders of leases to restore it; zero: it
// does not wait.
func (s *session) configBy(now time.Time) time.Time {
	by := s.listed.Add(configWait)
	if s.config != nil || s.mirror == nil || s.mirror.config.revision != 0 || !now.Before(by) {
		return time.Time{}
	}
	for _, e := range s.mirror.entries {
		if e.record.Node != (subnet.Node{}) {
			return by
		}
	}
	return time.Time{}
}

// newestConfig returns the last configuration that was seen in etcd. revision 0: none was seen.
func (m *mirror) newestConfig() configValue {
	if m.config.revision != 0 {
		return m.config
	}
	return m.deleted
}
