// Package vxlan is the backend that carries packets between nodes through a VXLAN device (RFC 7348) for each family of
// the overlay, with one neighbour, one FDB entry and one route for each peer.
package vxlan

import (
	"context"
	"errors"
	"fmt"

	"github.com/podlane/podlane/kernel"

	"github.com/podlane/podlane/backend"
	"github.com/podlane/podlane/rtnl"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/underlay"
)

// Backend is the VXLAN backend. Its methods must be called in the network namespace it is for; Apply is for one
// goroutine at a time, Watch may run beside it.
type Backend struct {
	network  subnet.Network
	underlay underlay.Interface
	mtu      int
	families [len(subnet.Families)]lastApply
	budget   scanBudget
	problems []string // from the last look
	notes    []string // and its notes
}

var _ backend.Backend = (*Backend)(nil)

// lastApply is what is kept of a family between passes. Nothing is decided by it.
type lastApply struct {
	have     state            // what was read: only for its memory
	before   state            // what stood at the end of the last pass: tells drift from news
	verified bool             // there was a last pass, and it succeeded
	failed   []kernel.Failure // though the kernel refused these
}

// New makes the backend for a network on an underlay interface. The error says what of the two does not go together:
// a family without an address, an MTU that is too small or configured too big.
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

// MTU is that of the overlay and of the pods, in bytes: as configured, or what the underlay's leaves, which is 50 less,
// and 70 less where there is an IPv6 overlay.
func (b *Backend) MTU() int { return b.mtu }

// Apply makes the kernel's state what the leases say and reads it again. See backend.Backend. The families are apart: what
// stops one does not stop the other. Where the family's overlay is off, what is left of it is removed. The Report's
// Problems and Notes are from the last read of other programs' entries. On a router with a million routes it may be minutes
// old.
func (b *Backend) Apply(ctx context.Context, self subnet.Lease, peers []subnet.Lease) (backend.Report, error) {
	var report backend.Report
	conn, err := rtnl.Dial()
	if err != nil {
		return report, err
	}
	defer conn.Close()
	var errs []error
	var passes []*reconciler
	seen := map[subnet.Skip]bool{}
	for _, f := range subnet.Families {
		p, skipped, err := b.applyFamily(ctx, conn, f, self, peers, &report)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s overlay: %w", f, err))
		} else {
			passes = append(passes, p)
		}
		for _, s := range skipped {
			if !seen[s] {
				seen[s] = true
				report.Skipped = append(report.Skipped, s)
			}
		}
	}
	report.Peers, report.Degraded = b.peerStatus(peers)
	report.Problems, report.Notes = b.scan(passes, peers)
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
	m := &b.families[f]
	p := &reconciler{
		family: f, name: want.device.name, network: b.network.Range(f).Prefix, subnet: self.Endpoint(f).Subnet,
		pods: b.network.Pods(b.underlay.Addrs, self, peers), underlay: b.underlay, w: writer{conn: conn},
		have: &m.have, want: want, before: m.before, verified: m.verified,
	}
	m.before, m.verified = state{}, false
	err := p.run(ctx)
	report.Ops = append(report.Ops, p.w.done...)
	report.Failed = append(report.Failed, p.w.failed...)
	if err != nil {
		return nil, skipped, err
	}
	m.before, m.verified, m.failed = p.want, true, p.w.failed
	return p, skipped, nil
}
