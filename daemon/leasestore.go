package main

import (
	"context"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

// leaseStore is a lease store. The rest of podlaned knows it only by its states.
type leaseStore interface {
	// Run gets and holds a lease for this node, and delivers each new state until ctx ends. Its error ends podlaned.
	Run(ctx context.Context, n storeNode, deliver func(store.State)) error
	Close()
}

// storeNode is what a store must know about this node.
type storeNode struct {
	self    subnet.Self                // at the start
	changes <-chan subnet.Self         // the newest one after each change
	saved   *store.Saved               // the state of the last run; nil: there is none
	check   func(subnet.Network) error // returns why this node cannot be in a network
}
