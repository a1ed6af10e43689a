// Package bridge repairs the bridge of the node's pods. The CNI plugin creates the bridge for the first pod, and checks it only
// when it attaches the next one. While pods are attached, this package restores the bridge's addresses and its up state. It
// also makes connection tracking see the packets that the bridge forwards between its ports.
package bridge

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/podlane/podlane/kernel"
	"github.com/podlane/podlane/rtnl"
	"github.com/podlane/podlane/subnet"
)

// Bridge describes one bridge of the node's pods. podlaned saves it for the next start.
type Bridge struct {
	Name  string
	Index int            // of the interface; 0: it was deleted
	Addrs []netip.Prefix `json:",omitempty"` // its addresses of the pod subnets, and link-local ones
	Used  bool           // pods were attached at the last Restore
	// Cut holds the host's interfaces of the pods that lost the bridge, as long as these interfaces exist.
	Cut []string `json:",omitempty"`
	// Pods holds the names of these pods: their addresses and containers.
	Pods []string `json:",omitempty"`
}

// Equal reports whether two values are equal.
func (b Bridge) Equal(o Bridge) bool {
	return b.Name == o.Name && b.Index == o.Index && b.Used == o.Used && slices.Equal(b.Addrs, o.Addrs) && slices.Equal(b.Cut, o.Cut) && slices.Equal(b.Pods, o.Pods)
}

// Keeper records and restores the bridges of the node's pods. The zero value is ready for use. Only one goroutine at a time may
// use it.
type Keeper struct {
	known     []Bridge
	unbridged []string        // veth interfaces that had no bridge before one was deleted; they are another program's
	visible   map[string]bool // bridges whose traffic connection tracking saw at the last Restore, by name
	hidden    bool            // connection tracking does not see the traffic of some bridge
	reserved  string          // host-local's folder; empty: the default
}

// New returns a Keeper that begins with saved bridges, as Known returned them.
func New(saved []Bridge) *Keeper { return &Keeper{known: saved} }

// Known returns the recorded bridges. podlaned saves them for the next start.
func (k *Keeper) Known() []Bridge { return slices.Clone(k.known) }

// Names returns the names of the recorded bridges, including those that currently have no address or were deleted.
func (k *Keeper) Names() []string {
	names := make([]string, len(k.known))
	for i, b := range k.known {
		names[i] = b.Name
	}
	return names
}

// Hidden reports whether connection tracking does not see the packets between pods of this node.
func (k *Keeper) Hidden() bool { return k.hidden }

// Cut reports whether pods exist whose bridge was deleted.
func (k *Keeper) Cut() bool { return len(k.cut()) > 0 }

// Report holds the changes and the problems of one Restore.
type Report struct {
	Ops      []kernel.Op
	Problems []string // what only the operator can repair
}

// Restore reads the kernel and records the bridges that have an address of the node's pod subnets. It restores what such a
// bridge lost while pods were attached. netfilter reports whether the kernel module br_netfilter is loaded. Restore works in
// the network namespace of the calling thread.
func (k *Keeper) Restore(own subnet.Pair, netfilter bool) (r Report, err error) {
	conn, err := rtnl.Dial()
	if err != nil {
		return r, err
	}
	defer conn.Close()
	have, err := read(conn)
	if err != nil {
		return r, err
	}
	before := k.known
	var fixes []fix
	k.known, fixes = next(k.known, k.unbridged, have, own)
	k.nameCutPods(before, own)
	if len(k.cut()) == 0 {
		k.unbridged = have.unbridged()
	}
	for _, f := range fixes {
		ops, err := f.write(conn)
		r.Ops = append(r.Ops, ops...)
		if err != nil {
			return r, fmt.Errorf("restore bridge %s: %w", f.device.name, err)
		}
	}
	r.Ops = append(r.Ops, k.makeVisible(conn, have, own, netfilter)...)
	r.Problems = k.problems(own)
	return r, nil
}

// cut returns the host's interfaces of all pods whose bridge was deleted.
func (k *Keeper) cut() (all []string) {
	for _, b := range k.known {
		all = append(all, b.Cut...)
	}
	return all
}

// nameCutPods records the names of the pods of bridges that were deleted since the last Restore.
func (k *Keeper) nameCutPods(before []Bridge, own subnet.Pair) {
	for i, b := range k.known {
		at := slices.IndexFunc(before, func(o Bridge) bool { return o.Name == b.Name })
		if len(b.Cut) > 0 && (at < 0 || len(before[at].Cut) == 0) {
			k.known[i].Pods = reservations(k.reserved, own)
		}
	}
}

// maxNamed bounds how many pods a problem names.
const maxNamed = 10

// problems returns a sentence for each deleted bridge that names its pods. podlaned cannot attach them again.
func (k *Keeper) problems(own subnet.Pair) (list []string) {
	for _, b := range k.known {
		if len(b.Cut) == 0 {
			continue
		}
		now := reservations(k.reserved, own)
		names := slices.DeleteFunc(slices.Clone(b.Pods), func(name string) bool { return !slices.Contains(now, name) })
		if len(names) == 0 {
			for _, port := range b.Cut {
				names = append(names, "the pod at interface "+port)
			}
		}
		if more := len(names) - maxNamed; more > 0 {
			names = append(names[:maxNamed:maxNamed], fmt.Sprintf("%d more", more))
		}
		list = append(list, fmt.Sprintf("the bridge %s was deleted, which cut off these pods: %s; restart them to attach them again",
			b.Name, strings.Join(names, ", ")))
	}
	return list
}
