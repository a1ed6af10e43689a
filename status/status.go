// Package status holds the status document of podlaned. podlaned writes it, `podlaned status` prints it, and podlane-kube
// reads its checks.
package status

import (
	"net/netip"
	"slices"
	"time"

	"github.com/podlane/podlane/subnet"
)

// Status is the document: the state of this node, and of its peers.
type Status struct {
	Ready    bool     `json:"ready"` // every check holds
	Checks   []Check  `json:"checks"`
	Problems []string `json:"problems,omitempty"` // each with what to do
	Notes    []string `json:"notes,omitempty"`    // unusual, but harmless here

	Version  string         `json:"version"`
	Node     subnet.Node    `json:"node"`
	Underlay Underlay       `json:"underlay"`
	Network  []netip.Prefix `json:"network,omitempty"`
	MTU      int            `json:"mtu,omitempty"` // of the overlay, in bytes
	Lease    Lease          `json:"lease"`

	Store      string      `json:"store"`                // the lease store: StoreEtcd or StoreKubernetes
	Etcd       *Etcd       `json:"etcd,omitempty"`       // only with StoreEtcd
	Kubernetes *Kubernetes `json:"kubernetes,omitempty"` // only with StoreKubernetes

	Peers     []Peer        `json:"peers,omitempty"`
	Retained  int           `json:"retained"`          // peers that the store lost with its data, and that podlaned keeps
	Skipped   []subnet.Skip `json:"skipped,omitempty"` // leases that are not programmed, each with the reason
	SkipCount int           `json:"skipCount"`         // the number of all of them; Skipped holds the first ones

	Verified time.Time     `json:"verified,omitzero"` // when the kernel last matched the leases
	Trouble  string        `json:"trouble,omitempty"` // why the last reconcile failed
	Resync   time.Duration `json:"resync"`            // the longest time between two reconciles; in nanoseconds
	// BridgeNetfilter is why the firewall does not see packets between pods of this node. Empty: it sees them. Nil: it does
	// not have to.
	BridgeNetfilter *string `json:"bridgeNetfilter,omitempty"`

	NodeFile bool     `json:"nodeFile"`          // the node file and the files that depend on it are written
	Repairs  []Repair `json:"repairs,omitempty"` // the last ones, newest last
	Repaired int      `json:"repaired"`          // number of repairing writes since the start

	Dropped map[string]uint64 `json:"dropped,omitempty"` // packets that the firewall dropped, by reason
}

// Check is one of the conditions for a node to be ready. Each can become false and true again.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"` // why it does not hold
}

// Underlay is the interface that carries the tunnels.
type Underlay struct {
	Interface string       `json:"interface"`
	MTU       int          `json:"mtu"` // in bytes; 0: not known yet
	PublicIP  []netip.Addr `json:"publicIP"`
	Trouble   string       `json:"trouble,omitempty"` // why this interface is not the right one; podlaned still uses it
}

// Lease is the own lease.
type Lease struct {
	Subnet   []netip.Prefix `json:"subnet,omitempty"`
	Held     bool           `json:"held"`               // it exists in the store
	Expiry   time.Time      `json:"expiry,omitzero"`    // when it expires unless it is renewed; zero: never
	Conflict string         `json:"conflict,omitempty"` // which other node has the pod subnet
}

// The lease stores, by the names of their checks.
const (
	StoreEtcd       = "etcd"
	StoreKubernetes = "kubernetes"
)

// Etcd is the lease store in etcd.
type Etcd struct {
	Endpoints []string  `json:"endpoints"`
	Prefix    string    `json:"prefix"`
	Seen      time.Time `json:"seen,omitzero"`     // when it last answered
	Revision  int64     `json:"revision"`          // of the current lease set; 0: it was not read yet
	Trouble   string    `json:"trouble,omitempty"` // its current problem
	Watching  bool      `json:"watching"`          // a watch works: changes arrive at once
	Lists     int       `json:"lists"`             // how often all leases were listed
	Losses    int       `json:"losses"`            // how often it lost data
}

// Kubernetes is the lease store in the Kubernetes API.
type Kubernetes struct {
	Connected bool      `json:"connected"`         // podlane-kube is connected to podlaned
	Feeder    string    `json:"feeder,omitempty"`  // podlane-kube's name and version
	Seen      time.Time `json:"seen,omitzero"`     // when podlane-kube last had the newest state of the API
	Revision  int64     `json:"revision"`          // of the current lease set; 0: it was not read yet
	Trouble   string    `json:"trouble,omitempty"` // its current problem
	Watching  bool      `json:"watching"`          // changes arrive at once
	Losses    int       `json:"losses"`            // how often the API server lost data
}

// Peer is another node.
type Peer struct {
	Name     string         `json:"name,omitempty"`
	Subnet   []netip.Prefix `json:"subnet"`
	PublicIP netip.Addr     `json:"publicIP"`
	Version  string         `json:"version,omitempty"`
	State    string         `json:"state"`
	Reason   string         `json:"reason,omitempty"` // the kernel's error, if the peer failed
}

// The states of a peer.
const (
	PeerProgrammed = "programmed"
	PeerFailed     = "failed"  // the kernel refuses an entry; podlaned tries again
	PeerSkipped    = "skipped" // Status.Skipped has the reason
	PeerPending    = "pending" // the kernel is not verified yet
)

// Repair is a change by another program that podlaned undid.
type Repair struct {
	Time time.Time `json:"time"`
	What string    `json:"what"`
}

// Prefixes returns the pod subnets of a pair, for JSON.
func Prefixes(p subnet.Pair) []netip.Prefix {
	var list []netip.Prefix
	for _, f := range subnet.Families {
		if half := p.Half(f); half.IsValid() {
			list = append(list, half)
		}
	}
	return list
}

// InWallTime returns the status with its times as the wall clock now counts them. The wall clock may have been set since
// podlaned recorded a time. The monotonic clock in each time shows how long ago that was. Readers have only the wall clock.
func (s Status) InWallTime(now time.Time) Status {
	wall := func(t time.Time) time.Time {
		if t.IsZero() {
			return t
		}
		return now.Round(0).Add(t.Sub(now))
	}
	s.Lease.Expiry, s.Verified = wall(s.Lease.Expiry), wall(s.Verified)
	if s.Etcd != nil {
		s.Etcd = new(*s.Etcd)
		s.Etcd.Seen = wall(s.Etcd.Seen)
	}
	if s.Kubernetes != nil {
		s.Kubernetes = new(*s.Kubernetes)
		s.Kubernetes.Seen = wall(s.Kubernetes.Seen)
	}
	s.Repairs = slices.Clone(s.Repairs)
	for i := range s.Repairs {
		s.Repairs[i].Time = wall(s.Repairs[i].Time)
	}
	return s
}
