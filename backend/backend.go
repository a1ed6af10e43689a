// Package backend says what the daemon asks of a backend, the part that carries packets between nodes, and what a
// backend reports.
package backend

import (
	"context"

	"github.com/podlane/podlane/kernel"
	"github.com/podlane/podlane/subnet"
)

// Backend makes the kernel's state equal to the lease set. It remembers nothing that it decides by: every Apply reads
// the kernel, so that start, restart, drift and change are one path.
type Backend interface {
	// Apply makes the kernel carry this node's own lease and those of all its peers, reads the kernel again, and
	// reports. It is idempotent: where the kernel is as it should be, nothing is written. The error is for what stops
	// the whole pass; a peer that alone could not be programmed stands in the Report, and the others are unaffected.
	Apply(ctx context.Context, self subnet.Lease, peers []subnet.Lease) (Report, error)
	// Watch calls kick whenever the kernel's state may have been changed, until ctx ends. A kick carries no data; one
	// that follows the backend's own writes is harmless. kick must not block.
	Watch(ctx context.Context, kick func()) error
	// MTU is the overlay's, in bytes: that of the pods.
	MTU() int
}

// Report is what one Apply did and found.
type Report struct {
	Peers    int              // peers that stand in the kernel, as read back
	Ops      []kernel.Op      // what was written, in order
	Failed   []kernel.Failure // what could not be written
	Skipped  []subnet.Skip    // peers that are not programmed, and why
	Degraded []subnet.Skip    // peers that lack what the kernel refused, with its words
	// Problems are sentences about other programs' entries in the kernel that stop traffic, each with the command that
	// fixes it. At most MaxNotes.
	Problems []string
	Notes    []string // sentences about other programs' entries that may harm traffic; at most MaxNotes
}

// MaxNotes bounds a Report's Notes, and its Problems. If there are more, the last one gives their number.
const MaxNotes = 10
