package firewall

import (
	"context"
	"errors"

	"github.com/podlane/podlane/kernel"
	"github.com/podlane/podlane/subnet"
)

// Cleanup deletes podlane's table, and podlane's rules in iptables' FORWARD chains, of any pod network. It changes nothing
// else. The ops are what it deleted.
func Cleanup(ctx context.Context) (ops []kernel.Op, err error) {
	have, err := read(knownSets{})
	if err != nil {
		return nil, err
	}
	plans := []plan{{Plan: ownID.Remove(have.own)}}
	for _, f := range subnet.Families {
		plans = append(plans, planForward(have, nil, nil, f))
	}
	ops, _, err = commitAll(plans)
	errs := []error{err}
	for _, f := range subnet.Families {
		l, _, err := applyLegacy(ctx, nil, nil, f)
		ops, errs = append(ops, l.Ops...), append(errs, err)
	}
	return ops, errors.Join(errs...)
}
