// Package store holds what every lease store delivers:
//
//   - State: all leases, and this node's own
//   - Saved: the part of a State that a node saves over restarts
//   - Retention: the leases that a store has lost
//
// Stores differ in how they write and renew a lease. The rest is shared.
package store

import (
	"encoding/json"
	"time"

	"github.com/podlane/podlane/subnet"
)

// State is what a store knows. Its slices never change: several states can share them.
type State struct {
	Config   []byte // the configuration in use, as written
	Network  subnet.Network
	Warnings []string

	Set      subnet.Set // the whole lease set, with the own lease; Revision is 0 until it was read once
	Retained int        // how many records of the Set the store has lost: retained for the grace period

	Own      subnet.Lease // the lease that this node holds; zero until it is certainly its own
	Held     bool         // when the store was last read, the own key had our lease
	Expiry   time.Time    // when the own lease expires unless it is renewed; zero: never, it is a reservation
	Seen     time.Time    // when the store last answered
	Watching bool         // changes arrive at once: something arrived in the last few seconds
	Feeder   string       // of the Kubernetes store: the connected program that feeds it; empty: none
	Lists    int          // how often everything has been listed since the start
	Losses   int          // how many lists and events have shown since then that the store lost data
	Conflict string       // which node also has our pod subnet; our pods keep it, new ones should not be attached
	Err      error        // the store's current error
	Files    []string     // faults of the files with the CA, the certificate or the password

	ConfigRevision int64 // revision of the stored configuration; 0: there is none
}

// Saved is what a node saves over restarts, as plain values that can be written as JSON.
type Saved struct {
	Config   json.RawMessage `json:"config"`
	Revision int64           `json:"revision"`         // the highest seen: a lower one means that the store has lost data
	Own      string          `json:"own"`              // the last part of the own lease's key
	Expiry   time.Time       `json:"expiry"`           // of the own lease; zero: a reservation
	Leases   []SavedLease    `json:"leases,omitempty"` // the whole set, with the own lease

	ConfigRevision int64 `json:"configRevision,omitempty"` // at which the configuration was written; 0: not known
}

// SavedLease is a lease as it was in the store.
type SavedLease struct {
	Key   string          `json:"key"` // the last part of it
	Value json.RawMessage `json:"value"`
	Lost  bool            `json:"lost,omitempty"` // it was retained after the store had lost it

	Created  int64 `json:"created,omitempty"`  // revision at which the key was created; 0: not known
	Modified int64 `json:"modified,omitempty"` // revision at which it was last written
}

// Save returns the part of a state that is saved. It is useful once the node holds a lease.
func (s State) Save() Saved {
	saved := Saved{Config: s.Config, Revision: s.Set.Revision, Expiry: s.Expiry, ConfigRevision: s.ConfigRevision}
	if !s.Own.Pair().IsZero() {
		saved.Own = s.Own.Pair().Key()
	}
	for _, r := range s.Set.Records {
		lost := s.Retained > 0 && r.Modified == 0
		saved.Leases = append(saved.Leases, SavedLease{Key: r.Pair().Key(), Value: r.Value(), Lost: lost, Created: r.Created, Modified: r.Modified})
	}
	return saved
}

// Set parses the saved leases. It skips and names those that it cannot parse.
func (s Saved) Set() subnet.Set {
	set := subnet.Set{Revision: s.Revision}
	for _, saved := range s.Leases {
		l, err := subnet.ParseLease(saved.Key, saved.Value)
		if err != nil {
			set.Junk++
			if len(set.Skipped) < subnet.MaxSkips {
				set.Skipped = append(set.Skipped, subnet.Skip{Key: saved.Key, Reason: err.Error()})
			}
			continue
		}
		set.Records = append(set.Records, subnet.Record{Lease: l, Created: saved.Created})
	}
	return set
}

// LostLeases returns the saved leases that the store had lost. It skips those that it cannot parse.
func (s Saved) LostLeases() (leases []subnet.Lease) {
	for _, saved := range s.Leases {
		if l, err := subnet.ParseLease(saved.Key, saved.Value); saved.Lost && err == nil {
			leases = append(leases, l)
		}
	}
	return leases
}

// Lease returns the saved own lease.
func (s Saved) Lease() (subnet.Lease, bool) {
	for _, saved := range s.Leases {
		if saved.Key == s.Own {
			l, err := subnet.ParseLease(saved.Key, saved.Value)
			return l, err == nil
		}
	}
	return subnet.Lease{}, false
}
