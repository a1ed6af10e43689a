package vxlan

import (
	"context"
	"errors"

	"github.com/podlane/podlane/kernel"

	"github.com/podlane/podlane/rtnl"
	"github.com/podlane/podlane/subnet"
)

// Cleanup removes from the network namespace of the caller all that this backend ever makes, whatever the
// configuration was: VXLAN devices by our names, with all on them, and the main table's routes with our protocol.
// Nothing else is touched. It returns what was removed.
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
		p := reconciler{family: f, w: writer{conn: conn}, have: &have, want: newState(0)}
		errs = append(errs, p.run(ctx))
		ops = append(ops, p.w.done...)
		for _, failure := range p.w.failed {
			errs = append(errs, failure)
		}
	}
	return ops, errors.Join(errs...)
}
