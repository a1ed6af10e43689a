package vxlan

import (
	"context"
	"errors"

	"github.com/podlane/podlane/kernel"
	"github.com/podlane/podlane/rtnl"
	"github.com/podlane/podlane/subnet"
)

// Cleanup removes from the calling thread's network namespace what this backend creates with any configuration:
//   - VXLAN devices with our names, and all entries on them
//   - the main table's routes with our protocol
//
// It changes nothing else. It returns what it removed.
func Cleanup(ctx context.Context) ([]kernel.Op, error) {
	conn, err := rtnl.Dial()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	var ops []kernel.Op
	var errs []error
	for _, f := range subnet.Families {
		have := newState(0)
		rec := reconciler{family: f, w: writer{conn: conn}, have: &have, want: newState(0)}
		errs = append(errs, rec.run(ctx))
		ops = append(ops, rec.w.done...)
		for _, failure := range rec.w.failed {
			errs = append(errs, failure)
		}
	}
	return ops, errors.Join(errs...)
}
