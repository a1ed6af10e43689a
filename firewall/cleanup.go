package firewall

import (
	"context"
	"errors"

	"github.com/podlane/podlane/kernel"

	"github.com/google/nftables"

	"github.com/podlane/podlane/subnet"
)

// Cleanup removes the node's own table and its rules in iptables' FORWARD chains, of whatever pod network they are.
// All else stays. The ops are what was removed.
func Cleanup(ctx context.Context) (ops []kernel.Op, err error) {
	have, err := read()
	if err != nil {
		return nil, err
	}
	plans := []plan{removeTable(have)}
	for _, f := range subnet.Families {
		plans = append(plans, planForward(have, nil, nil, f))
	}
	ops, err = commitAll(plans)
	errs := []error{err}
	for _, f := range subnet.Families {
		l, _, err := applyLegacy(ctx, nil, nil, f)
		ops, errs = append(ops, l.ops...), append(errs, err)
	}
	return ops, errors.Join(errs...)
}

func removeTable(have snapshot) plan {
	if _, ok := have.own(); !ok {
		return plan{}
	}
	return plan{
		ops: []kernel.Op{{Verb: "delete", Kind: "table", Object: "table inet " + Name}},
		steps: []step{func(c *nftables.Conn) error {
			c.DelTable(ownTable())
			return nil
		}},
	}
}
