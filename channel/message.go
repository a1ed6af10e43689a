// Package channel is the local connection between podlaned and the program that feeds it, podlane-kube. podlaned listens on a
// socket in its run folder. The feeder sends the whole lease set after each change. podlaned sends back what this node
// announces. Each message replaces the previous one of its kind, so a lost connection loses nothing.
//
// Whoever feeds podlaned decides where pods' packets go. So only the user that runs podlaned can connect.
package channel

import (
	"encoding/json"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

// Version is the version of the protocol. A receiver ignores kinds and fields that it does not know. So only a change that an
// older receiver would misunderstand needs another version.
const Version = 1

// Socket is the name of the socket in podlaned's run folder.
const Socket = "channel.sock"

// Hello is the first message of both sides.
type Hello struct {
	Version  int    `json:"version"`            // of the protocol
	Program  string `json:"program"`            // its name and version
	Node     string `json:"node"`               // the name of the node: both sides must have the same one
	Revision int64  `json:"revision,omitempty"` // from podlaned: the highest revision of a lease set that it has seen
}

// Leases is the whole lease set. podlane-kube sends it after each change.
type Leases struct {
	Revision int64              `json:"revision"`          // of the store; at least 1
	Losses   int                `json:"losses"`            // how often the store lost data since podlane-kube started
	Refuted  int64              `json:"-"`                 // the highest revision that the store has lost, as a quorum read has shown; it is not sent
	Config   json.RawMessage    `json:"config,omitempty"`  // the network configuration, in flannel's keys
	Fault    string             `json:"fault,omitempty"`   // why Config is not usable
	Own      Own                `json:"own"`               // the Node of this node
	Leases   []store.SavedLease `json:"leases,omitempty"`  // of all nodes that announce themselves; Created is the age of the Node, in seconds since 1970
	Skipped  []subnet.Skip      `json:"skipped,omitempty"` // Nodes whose announcement is invalid; at most subnet.MaxSkips
	Junk     int                `json:"junk,omitempty"`    // the number of Nodes whose announcement is invalid
}

// Unconfirmed reports whether the set is older than a revision that podlaned has seen, and no quorum read has shown that revision to
// be lost. podlaned treats a lower revision as a loss of data.
func (l Leases) Unconfirmed(seen int64) bool { return l.Revision < seen && l.Refuted < seen }

// Own is what the store has about this node.
type Own struct {
	Exists     bool     `json:"exists"`               // there is a Node with this name
	PodCIDRs   []string `json:"podCIDRs,omitempty"`   // as the Node has them: at most one for each family
	PublicIP   string   `json:"publicIP,omitempty"`   // from the annotation public-ip-overwrite
	PublicIPv6 string   `json:"publicIPv6,omitempty"` // from the annotation public-ipv6-overwrite
	Fault      string   `json:"fault,omitempty"`      // why the announcement is not written; empty: it is written, or there is none yet
}

// Source reports whether podlane-kube reaches the API server. It is sent after each change, and every few seconds.
type Source struct {
	Fault string `json:"fault,omitempty"` // why the newest state is not known; empty: it is known
}

// Announcement is what this node announces to the other nodes.
type Announcement struct {
	Lease store.SavedLease `json:"lease"` // its key and its value
}
