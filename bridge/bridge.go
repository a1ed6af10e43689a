// Package bridge keeps the bridge of the node's pods usable. The bridge is the CNI plugin's, which makes it for the first
// pod and does not look at it again until the next. While pods are attached, this package restores the bridge's addresses
// and its up state. It also lets connection tracking see what the bridge forwards between its ports.
package bridge

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/podlane/podlane/backend"
	"github.com/podlane/podlane/rtnl"
	"github.com/podlane/podlane/subnet"
)

// Bridge is what is remembered of one bridge of the node's pods. It is saved, so that a restart does not forget it.
type Bridge struct {
	Name  string
	Index int            // of the interface; 0: it was deleted
	Addrs []netip.Prefix `json:",omitempty"` // those of the pod subnets, and link-local ones
	Used  bool           // pods were attached at the last look
	// Cut are the host's interfaces of the pods that were attached when the bridge was deleted, as far as they exist.
	Cut []string `json:",omitempty"`
	// Pods are the names of these pods: the addresses and the containers.
	Pods []string `json:",omitempty"`
}

// Equal reports whether two values say the same.
func (b Bridge) Equal(o Bridge) bool {
	return b.Name == o.Name && b.Index == o.Index && b.Used == o.Used && slices.Equal(b.Addrs, o.Addrs) && slices.Equal(b.Cut, o.Cut) && slices.Equal(b.Pods, o.Pods)
}

// Keeper remembers the bridges of the node's pods. The zero value is ready. It is for one goroutine at a time.
type Keeper struct {
	known    []Bridge
	loose    []string        // veth interfaces without a bridge before one was deleted: another program's
	shown    map[string]bool // bridges whose traffic connection tracking saw at the last look, by name
	hidden   bool            // there is one whose traffic it does not see
	reserved string          // host-local's folder; empty: the default
}

// New returns a Keeper that remembers saved bridges.
func New(saved []Bridge) *Keeper { return &Keeper{known: saved} }

// Known returns what is remembered, for the next start.
func (k *Keeper) Known() []Bridge { return slices.Clone(k.known) }

// Names returns the names of the remembered bridges, also of those that are currently without an address or deleted.
func (k *Keeper) Names() []string {
	names := make([]string, len(k.known))
	for i, b := range k.known {
		names[i] = b.Name
	}
	return names
}

// Hidden reports whether connection tracking does not see what pods of this node send each other.
func (k *Keeper) Hidden() bool { return k.hidden }

// Cut reports whether pods exist whose bridge was deleted.
func (k *Keeper) Cut() bool { return len(k.cut()) > 0 }

// Report is what Restore wrote and found.
type Report struct {
	Ops      []backend.Op
	Problems []string // what only the operator can repair
}

// Restore reads the kernel, learns which bridges have an address of the node's pod subnets, and restores those that have
// lost something while pods are attached. netfilter says that the kernel module br_netfilter is loaded. It works in the
// network namespace of the thread that calls it.
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
	k.known, fixes = next(k.known, k.loose, have, own)
	k.name(before, own)
	if len(k.cut()) == 0 {
		k.loose = have.loose()
	}
	for _, f := range fixes {
		ops, err := f.write(conn)
		r.Ops = append(r.Ops, ops...)
		if err != nil {
			return r, fmt.Errorf("restore bridge %s: %w", f.device.name, err)
		}
	}
	r.Ops = append(r.Ops, k.show(conn, have, own, netfilter)...)
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

// name remembers the names of the pods of bridges that were deleted since the last look.
func (k *Keeper) name(before []Bridge, own subnet.Pair) {
	for i, b := range k.known {
		was := slices.IndexFunc(before, func(o Bridge) bool { return o.Name == b.Name })
		if len(b.Cut) > 0 && (was < 0 || len(before[was].Cut) == 0) {
			k.known[i].Pods = reservations(k.reserved, own)
		}
	}
}

// maxNamed bounds how many pods a problem names.
const maxNamed = 10

// problems names the pods that have lost their bridge. Nothing here can attach them again.
func (k *Keeper) problems(own subnet.Pair) (list []string) {
	for _, b := range k.known {
		if len(b.Cut) == 0 {
			continue
		}
		now := reservations(k.reserved, own)
		names := slices.DeleteFunc(slices.Clone(b.Pods), func(name string) bool { return !slices.Contains(now, name) })
		if len(names) == 0 {
			for _, port := range b.Cut {
				names = append(names, "the pod behind "+port)
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
