// Package backend is the interface between the daemon and a backend. A backend programs the kernel to carry packets between
// nodes.
package backend

import (
	"context"

	"github.com/podlane/podlane/kernel"
	"github.com/podlane/podlane/subnet"
)

// Backend makes the kernel's state match the leases. It decides nothing from memory. Every Apply reads the kernel. So
// start, restart and drift are one code path.
type Backend interface {
	// Apply programs this node's own lease and those of all its peers. It reads the kernel again and reports. It is
	// idempotent: if the kernel is in sync, it writes nothing. An error means that the whole run failed. A single
	// peer that could not be programmed is named in the Report. Other peers are unaffected.
	Apply(ctx context.Context, self subnet.Lease, peers []subnet.Lease) (Report, error)
	// Watch calls kick when the kernel's state may have changed, until ctx ends. A kick carries no data. A kick after
	// the backend's own writes is harmless. kick must not block.
	Watch(ctx context.Context, kick func()) error
	// MTU returns the MTU of the overlay and of the pods, in bytes.
	MTU() int
}

// Report is the result of one Apply.
type Report struct {
	Created  []Device         // devices that were created, and exist
	Peers    int              // peers that are installed in the kernel, as read back
	Ops      []kernel.Op      // writes, in order
	Failed   []kernel.Failure // writes that failed
	Skipped  []subnet.Skip    // peers that are not programmed, with the reason
	Degraded []subnet.Skip    // peers of which the kernel refused an entry, with its error
	// Problems are sentences about other programs' entries in the kernel that stop traffic. Each ends with the
	// command that fixes it. At most MaxNotes.
	Problems []string
	Notes    []string // sentences about other programs' entries that may harm traffic; at most MaxNotes
}

// Device is a network interface of the backend.
type Device struct {
	Name  string
	Index int
}

// MaxNotes bounds a Report's Notes and its Problems. If there are more, the last one gives their number.
const MaxNotes = 10
