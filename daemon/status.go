package main

import (
	"net/netip"
	"time"

	"github.com/podlane/podlane/subnet"
)

// status is what `podlaned status` shows: how this node is, and its peers.
type status struct {
	Ready    bool     `json:"ready"` // every check holds
	Checks   []check  `json:"checks"`
	Problems []string `json:"problems,omitempty"` // what is wrong and what to do, in words
	Notes    []string `json:"notes,omitempty"`    // what is odd and does no harm here

	Version  string         `json:"version"`
	Node     subnet.Node    `json:"node"`
	Underlay underlayStatus `json:"underlay"`
	Network  []netip.Prefix `json:"network,omitempty"`
	MTU      int            `json:"mtu,omitempty"` // of the overlay, in bytes
	Lease    leaseStatus    `json:"lease"`
	Etcd     etcdStatus     `json:"etcd"`

	Peers     []peerStatus  `json:"peers,omitempty"`
	Retained  int           `json:"retained"`          // peers that a loss of data took out of etcd, kept for now
	Skipped   []subnet.Skip `json:"skipped,omitempty"` // leases that are not programmed, and why
	SkipCount int           `json:"skipCount"`

	Verified time.Time     `json:"verified,omitzero"` // when the kernel was last seen to be as it should
	Trouble  string        `json:"trouble,omitempty"` // why the last pass over it failed
	Resync   time.Duration `json:"resync"`            // how often that is looked at, at least; in nanoseconds
	// BridgeNetfilter says why the firewall does not see what pods of this node send each other; nil where it need not.
	BridgeNetfilter *string `json:"bridgeNetfilter,omitempty"`

	NodeFile bool     `json:"nodeFile"`          // it is written, and so are the files that depend on it
	Repairs  []repair `json:"repairs,omitempty"` // the last ones, newest last
	Repaired int      `json:"repaired"`          // how many since the start

	Dropped map[string]uint64 `json:"dropped,omitempty"` // packets that the firewall let in no further, by reason
}

type underlayStatus struct {
	Interface string       `json:"interface"`
	MTU       int          `json:"mtu"`
	PublicIP  []netip.Addr `json:"publicIP"`
	Trouble   string       `json:"trouble,omitempty"` // why it is kept though it is not right just now
}

type leaseStatus struct {
	Subnet []netip.Prefix `json:"subnet,omitempty"`
	Held   bool           `json:"held"`
	Expiry time.Time      `json:"expiry,omitzero"` // unless renewed; zero: never
	// Conflict says who else has the pod subnet.
	Conflict string `json:"conflict,omitempty"`
}

type etcdStatus struct {
	Endpoints []string  `json:"endpoints"`
	Prefix    string    `json:"prefix"`
	Seen      time.Time `json:"seen,omitzero"` // when it last answered
	Revision  int64     `json:"revision"`
	Trouble   string    `json:"trouble,omitempty"` // what is wrong with it just now
	Watching  bool      `json:"watching"`          // it tells of changes as they come
	Lists     int       `json:"lists"`             // how often all leases were listed
	Losses    int       `json:"losses"`            // how often it was seen to have lost data
}

type peerStatus struct {
	Name     string         `json:"name,omitempty"`
	Subnet   []netip.Prefix `json:"subnet"`
	PublicIP netip.Addr     `json:"publicIP"`
	Version  string         `json:"version,omitempty"`
	State    string         `json:"state"`
	Reason   string         `json:"reason,omitempty"` // where it failed: what the kernel says
}

// The states of a peer.
const (
	peerProgrammed = "programmed"
	peerFailed     = "failed"  // the kernel refuses it; it is tried again
	peerSkipped    = "skipped" // the list of the skipped says why
	peerPending    = "pending" // the kernel was not verified yet
)

type repair struct {
	Time time.Time `json:"time"`
	What string    `json:"what"`
}

// halves are the pair's pod subnets, for JSON.
func halves(p subnet.Pair) []netip.Prefix {
	var list []netip.Prefix
	for _, f := range subnet.Families {
		if half := p.Half(f); half.IsValid() {
			list = append(list, half)
		}
	}
	return list
}
