// Package vxlan is the backend that carries packets between nodes through VXLAN devices (RFC 7348). Each family of
// the overlay has one device. Each peer has one neighbour, one FDB entry and one route on it.
package vxlan

import (
	"context"
	"errors"
	"fmt"

	"github.com/podlane/podlane/backend"
	"github.com/podlane/podlane/kernel"
	"github.com/podlane/podlane/rtnl"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/underlay"
)

// Backend is the VXLAN backend. Call its methods in the network namespace that it programs. Only one goroutine at a
// time may call Apply; Watch may run beside it.
type Backend struct {
	network  subnet.Network
	underlay underlay.Interface
	mtu      int
	families [len(subnet.Families)]lastApply
	budget   scanBudget
	problems []string // of the last scan
	notes    []string // of the last scan
}

var _ backend.Backend = (*Backend)(nil)

// lastApply holds what one family keeps between two calls of Apply. No decision depends on it.
type lastApply struct {
	have     state            // only to reuse its memory
	before   state            // the state at the end of the last Apply; a difference from it is drift
	verified bool             // the last Apply succeeded
	failed   []kernel.Failure // the writes of the last Apply that the kernel refused
}

// New returns the backend for a network on an underlay interface. These are errors:
//   - the underlay lacks an address of a wanted family
//   - the underlay's MTU is too small, or it is unknown and none is configured
//   - the configured MTU is too large for the underlay
func New(network subnet.Network, u underlay.Interface) (*Backend, error) {
	mtu, err := overlayMTU(network, u)
	if err != nil {
		return nil, err
	}
	b := &Backend{network: network, underlay: u, mtu: mtu}
	for _, f := range subnet.Families {
		if network.Range(f).On() && !u.Local(f).IsValid() {
			return nil, fmt.Errorf("underlay %s has no %s address, which the %s overlay needs", u.Name, f, f)
		}
		b.families[f].have = newState(0)
	}
	return b, nil
}

// MTU returns the MTU of the overlay and of the pods, in bytes. It is the configured MTU, or the underlay's less 50.
// With an IPv6 overlay it is less 70.
func (b *Backend) MTU() int { return b.mtu }

// Apply makes the kernel's state match the leases and reads it again. See backend.Backend. The families are
// independent: an error in one does not stop the other. If the overlay of a family is off, its device and routes are
// removed.
// The Report's Problems and Notes are from the last scan of other programs' entries. On a router with a million
// routes they may be minutes old.
func (b *Backend) Apply(ctx context.Context, self subnet.Lease, peers []subnet.Lease) (backend.Report, error) {
	var report backend.Report
	conn, err := rtnl.Dial()
	if err != nil {
		return report, err
	}
	defer conn.Close()
	var errs []error
	var done []*reconciler
	seen := map[subnet.Skip]bool{}
	for _, f := range subnet.Families {
		rec, skipped, err := b.applyFamily(ctx, conn, f, self, peers, &report)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s overlay: %w", f, err))
		} else {
			done = append(done, rec)
		}
		for _, s := range skipped {
			if !seen[s] {
				seen[s] = true
				report.Skipped = append(report.Skipped, s)
			}
		}
	}
	report.Peers, report.Degraded = b.peerStatus(peers)
	report.Problems, report.Notes = b.scan(done, peers)
	return report, errors.Join(errs...)
}

func (b *Backend) applyFamily(
	ctx context.Context, conn *rtnl.Conn, f subnet.Family, self subnet.Lease, peers []subnet.Lease, report *backend.Report,
) (*reconciler, []subnet.Skip, error) {
	on := b.network.Range(f).On()
	if on && !self.Endpoint(f).Subnet.IsValid() {
		return nil, nil, fmt.Errorf("our own lease, %s, has no %s pod subnet", self, f)
	}
	want, skipped := plan(f, b.network, b.underlay, self, peers)
	last := &b.families[f]
	rec := &reconciler{
		family: f, name: want.device.name, network: b.network.Range(f).Prefix, subnet: self.Endpoint(f).Subnet,
		pods: b.network.Pods(b.underlay.Addrs, self, peers), underlay: b.underlay, w: writer{conn: conn},
		have: &last.have, want: want, before: last.before, verified: last.verified,
	}
	last.before, last.verified = state{}, false
	err := rec.run(ctx)
	report.Ops = append(report.Ops, rec.w.done...)
	report.Failed = append(report.Failed, rec.w.failed...)
	if err != nil {
		return nil, skipped, err
	}
	if rec.created {
		report.Created = append(report.Created, backend.Device{Name: rec.name, Index: rec.index})
	}
	last.before, last.verified, last.failed = rec.want, true, rec.w.failed
	return rec, skipped, nil
}
