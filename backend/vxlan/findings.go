package vxlan

import (
	"fmt"

	"github.com/podlane/podlane/backend"
)

// notes is a bounded list of sentences. It stores the first ones and counts the others.
type notes struct {
	list []string
	more int
}

// add stores a sentence, or only counts it.
func (n *notes) add(text func() string) {
	if len(n.list) == backend.MaxNotes {
		n.more++
		return
	}
	n.list = append(n.list, text())
}

// all returns the stored sentences. The last one counts those that are missing.
func (n *notes) all() []string {
	if n.more == 0 {
		return n.list
	}
	last := backend.MaxNotes - 1
	return append(n.list[:last:last], fmt.Sprintf("%d more addresses, routes and rules divert traffic to peers", n.more+1))
}

// addUnreadable adds a note about a failed read.
func (n *notes) addUnreadable(what string, err error) {
	n.add(func() string { return fmt.Sprintf("cannot find out %s: %v", what, err) })
}

// findings holds the result of a scan.
type findings struct {
	problems notes // packets do not arrive
	notes    notes // packets use another route and may arrive, or podlaned cannot decide
}
