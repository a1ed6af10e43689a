// Package kernel holds what all packages share that program the kernel:
//
//   - Op: one write, in the words that an operator types
//   - Failure: a write that the kernel refused
//   - RetryRead: repeats a read that changes interrupt
package kernel

// Op is one write to the kernel.
type Op struct {
	Verb   string // "add", "replace", "delete", "set"
	Kind   string // "device", "address", "neighbour", "fdb", "route", ...
	Object string // as an operator types it: route 10.5.34.0/24 via 10.5.34.0 dev podlane.1 proto 112
	Drift  bool   // the write repairs what another program changed
}

// String returns the verb and the object.
func (o Op) String() string { return o.Verb + " " + o.Object }

// Failure is a write that the kernel refused.
type Failure struct {
	Op  Op
	Err error // the kernel's own, such as unix.EEXIST
}

// Error returns the write and the kernel's error.
func (f Failure) Error() string { return f.Op.String() + ": " + f.Err.Error() }

// Unwrap returns the kernel's error.
func (f Failure) Unwrap() error { return f.Err }
