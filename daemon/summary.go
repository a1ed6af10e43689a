package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/podlane/podlane/kernel"
)

// maxNamed bounds how many objects one log line names.
const maxNamed = 5

// summary returns the writes to the kernel in one line. It names a few objects. Of many, it names the first of each kind
// and their number.
func summary(ops []kernel.Op) string {
	if len(ops) <= maxNamed {
		parts := make([]string, len(ops))
		for i, op := range ops {
			parts[i] = op.String()
		}
		return strings.Join(parts, "; ")
	}
	type group struct{ verb, kind string }
	counts, first := map[group]int{}, map[group]string{}
	var order []group
	for _, op := range ops {
		g := group{op.Verb, op.Kind}
		if counts[g]++; counts[g] == 1 {
			order, first[g] = append(order, g), op.String()
		}
	}
	parts := make([]string, len(order))
	for i, g := range order {
		if parts[i] = first[g]; counts[g] > 1 {
			parts[i] = fmt.Sprintf("%s %d %s (%s, …)", g.verb, counts[g], g.kind, first[g])
		}
	}
	return strings.Join(parts, "; ")
}

// split separates repairs from changes that follow the lease set.
func split(ops []kernel.Op) (drift, change []kernel.Op) {
	if !slices.ContainsFunc(ops, func(op kernel.Op) bool { return op.Drift }) {
		return nil, ops
	}
	for _, op := range ops {
		if op.Drift {
			drift = append(drift, op)
		} else {
			change = append(change, op)
		}
	}
	return drift, change
}
