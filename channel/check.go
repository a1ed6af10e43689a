package channel

import (
	"errors"
	"fmt"

	"github.com/podlane/podlane/subnet"
)

// checkHello returns an error if two programs must not be connected. The error names both.
func checkHello(own, peer Hello) error {
	if err := (subnet.Node{Name: peer.Node, Version: peer.Program}).Check(); err != nil {
		return fmt.Errorf("the hello of the other side is invalid: %w", err)
	}
	if peer.Version != own.Version {
		return fmt.Errorf("%s uses version %d of the channel protocol, and %s uses version %d: install the same version of both",
			peer.label(), peer.Version, own.label(), own.Version)
	}
	if peer.Node != own.Node {
		return fmt.Errorf("%s is for the node %q, and %s is for the node %q: give both the same --node-name",
			peer.label(), peer.Node, own.label(), own.Node)
	}
	return nil
}

// label returns the program's name for errors.
func (h Hello) label() string {
	if h.Program == "" {
		return "a program without a name"
	}
	return h.Program
}

// check returns an error if no store can have such a lease set. It does not check the values of the leases: the receiver does.
func (l Leases) check() error {
	switch {
	case l.Revision < 1:
		return fmt.Errorf("its revision is %d, want at least 1", l.Revision)
	case l.Losses < 0 || l.Junk < 0:
		return errors.New("its number of losses or of skipped Nodes is negative")
	case len(l.Skipped) > subnet.MaxSkips:
		return fmt.Errorf("it has %d skipped Nodes, want at most %d", len(l.Skipped), subnet.MaxSkips)
	}
	for i, lease := range l.Leases {
		if lease.Key == "" {
			return fmt.Errorf("its lease %d has no key", i)
		}
	}
	return nil
}

// check returns an error if an announcement announces nothing.
func (a Announcement) check() error {
	if a.Lease.Key == "" || len(a.Lease.Value) == 0 {
		return errors.New("it has no lease")
	}
	return nil
}
