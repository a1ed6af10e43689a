// Package store holds what every lease store delivers: the State of all leases and of this node's own one, and the part
// of it that a node saves over restarts. Stores differ in how they claim and renew a lease; what follows is shared.
package store

import (
	"encoding/json"
	"time"

	"github.com/podlane/podlane/subnet"
)

// State is what a store knows. Its slices are the receiver's to keep.
type State struct {
	Config   []byte // the configuration in use, as written
	Network  subnet.Network
	Warnings []string

	Set      subnet.Set // the whole lease set, the own lease included; Revision is 0 until it was read once
	Retained int        // how many records of the Set are no longer in etcd: kept for the time of grace after a loss of data

	Own      subnet.Lease // what this node holds; the zero Lease until it is taken for sure
	Held     bool         // the own key is ours in etcd as last seen
	Expiry   time.Time    // when the own lease runs out unless it is renewed; zero: never, a reservation
	Seen     time.Time    // when etcd last answered
	Watching bool         // the watch has said something in the last 6 s, or 30 s where etcd does not tell that nothing changed
	Lists    int          // how often everything has been listed since Run began
	Losses   int          // how often etcd was seen to have lost data since then: one for each list or event that showed it
	Conflict string       // who else has our pod subnet; the pods keep running on it, new ones should not be attached
	Err      error        // what is wrong with etcd just now
	Files    []string     // faults of the files with the CA, the certificate or the password

	ConfigRevision int64 // revision of the stored configuration; 0: there is none
}

// Saved is what a node keeps over restarts, as plain values that can be written as JSON.
type Saved struct {
	Config   json.RawMessage `json:"config"`
	Revision int64           `json:"revision"`         // the highest seen: a lower one means that etcd has lost data
	Own      string          `json:"own"`              // the last part of the own lease's key
	Expiry   time.Time       `json:"expiry"`           // of the own lease; zero: a reservation
	Leases   []SavedLease    `json:"leases,omitempty"` // the whole set, the own lease included

	ConfigRevision int64 `json:"configRevision,omitempty"` // at which the configuration was written; 0: not known
}

// SavedLease is a lease as it stood in etcd.
type SavedLease struct {
	Key   string          `json:"key"` // the last part of it
	Value json.RawMessage `json:"value"`
	Lost  bool            `json:"lost,omitempty"` // it was kept though etcd had lost it

	Created  int64 `json:"created,omitempty"`  // revision at which the key was created; 0: not known
	Modified int64 `json:"modified,omitempty"` // revision at which it was last written
}

// Save returns what of a state is worth keeping; it means something once the own lease is taken.
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

// Set reads the saved leases. One that cannot be read is left out and named.
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

// LostLeases returns the saved leases that the store had lost. Leases that cannot be read are left out.
func (s Saved) LostLeases() (leases []subnet.Lease) {
	for _, saved := range s.Leases {
		if l, err := subnet.ParseLease(saved.Key, saved.Value); saved.Lost && err == nil {
			leases = append(leases, l)
		}
	}
	return leases
}

// Lease is the saved own lease.
func (s Saved) Lease() (subnet.Lease, bool) {
	for _, saved := range s.Leases {
		if saved.Key == s.Own {
			l, err := subnet.ParseLease(saved.Key, saved.Value)
			return l, err == nil
		}
	}
	return subnet.Lease{}, false
}
