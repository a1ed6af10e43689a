package main

import (
	"net/netip"
	"slices"

	"github.com/podlane/podlane/backend"
	"github.com/podlane/podlane/firewall"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/underlay"
)

// interfaces holds the node's interfaces as they were last read.
type interfaces []underlay.Interface

// add records new devices of the backend. The kernel's notification of them causes another reconciliation, which reads the rest.
func (all *interfaces) add(created []backend.Device) {
	for _, d := range created {
		now := slices.DeleteFunc(slices.Clone(*all), func(i underlay.Interface) bool { return i.Name == d.Name })
		now = append(now, underlay.Interface{Name: d.Name, Index: d.Index, Up: true})
		*all = now
	}
}

// find returns the interface with a name, or the zero value if it does not exist.
func (all interfaces) find(name string) underlay.Interface {
	i := slices.IndexFunc(all, func(i underlay.Interface) bool { return i.Name == name })
	if i < 0 {
		return underlay.Interface{}
	}
	return all[i]
}

// named returns the interface with a name. Its index is 0 if it does not exist.
func (all interfaces) named(name string) firewall.Interface {
	return firewall.Interface{Name: name, Index: all.find(name).Index}
}

// bridge returns the interface that leads to all pods, with its addresses. names are those of the interfaces that lead to pods.
// It returns the zero value if there are several names or none, or if the interface does not exist.
func (all interfaces) bridge(names []string) firewall.Bridge {
	if len(names) != 1 {
		return firewall.Bridge{}
	}
	found := all.find(names[0])
	if found.Index == 0 {
		return firewall.Bridge{}
	}
	return firewall.Bridge{Interface: firewall.Interface{Name: found.Name, Index: found.Index}, Addrs: found.Addrs}
}

// withPodAddress returns the names of the interfaces with an address of a pod subnet. The overlay's device is not among them: it
// has the first address of the subnet.
func (all interfaces) withPodAddress(own subnet.Pair) (names []string) {
	for _, i := range all {
		if slices.ContainsFunc(i.Addrs, func(p netip.Prefix) bool {
			half := own.Half(subnet.FamilyOf(p.Addr()))
			return half.IsValid() && half.Contains(p.Addr()) && p.Addr() != half.Addr()
		}) {
			names = append(names, i.Name)
		}
	}
	return names
}

// onlyWay reports whether all routes to peers must lead over the underlay: no other interface can have one. These cannot:
//
//   - interfaces that are down, and loopback
//   - the overlay's devices, the interfaces that lead to pods, and the ports of these
//   - the ports of the underlay
func (all interfaces) onlyWay(carrier firewall.Interface, others ...string) bool {
	cannot := append(slices.Clip(others), carrier.Name)
	for _, i := range all {
		if !i.Up || i.Loopback || slices.Contains(cannot, i.Name) {
			continue
		}
		isPort := slices.ContainsFunc(all, func(m underlay.Interface) bool { return m.Index == i.Master && slices.Contains(cannot, m.Name) })
		if !isPort {
			return false
		}
	}
	return carrier.Index != 0
}
