package main

import (
	"fmt"
	"strings"

	"github.com/podlane/podlane/backend"
)

// maxNamed bounds how many objects one log line names.
const maxNamed = 5

// summary tells in one line what was written to the kernel: the objects themselves where they are few, else their
// number by verb and kind.
func summary(ops []backend.Op) string {
	if len(ops) <= maxNamed {
		parts := make([]string, len(ops))
		for i, op := range ops {
			parts[i] = op.String()
		}
		return strings.Join(parts, "; ")
	}
	counts := map[string]int{}
	var order []string
	for _, op := range ops {
		key := op.Verb + " %d " + op.Kind
		if counts[key]++; counts[key] == 1 {
			order = append(order, key)
		}
	}
	for i, key := range order {
		order[i] = fmt.Sprintf(key, counts[key])
	}
	return strings.Join(order, ", ")
}

// split parts what put back a disturbed state from what followed the lease set.
func split(ops []backend.Op) (drift, change []backend.Op) {
	for _, op := range ops {
		if op.Drift {
			drift = append(drift, op)
		} else {
			change = append(change, op)
		}
	}
	return drift, change
}
