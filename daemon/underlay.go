package main

import (
	"net/netip"
	"slices"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/underlay"
)

// known holds the addresses by which the other nodes know this one.
type known struct {
	public []netip.Addr // the addresses in its lease
	local  []netip.Addr // its interface's addresses in the overlay's families; behind NAT they are not the public ones
}

// knownOf returns the addresses by which the other nodes know a node on an underlay.
func knownOf(self subnet.Self, network subnet.Network, iface underlay.Interface) known {
	k := known{public: []netip.Addr{self.PublicIP, self.PublicIPv6}}
	for _, f := range subnet.Families {
		if a := iface.Local(f); a.IsValid() && network.Range(f).On() {
			k.local = append(k.local, a)
		}
	}
	return k
}

// known returns the addresses that the other nodes knew when the state was saved.
func (s savedState) known() known {
	own, _ := s.Lease()
	k := known{public: []netip.Addr{own.IPv4.PublicIP, own.IPv6.PublicIP}, local: s.Local}
	for _, f := range subnet.Families {
		if e := own.Endpoint(f); len(s.Local) == 0 && e.Subnet.IsValid() { // podlaned 1.0 did not save Local
			k.local = append(k.local, e.PublicIP)
		}
	}
	return k
}

// want returns the operator's choice of the underlay. Without one, the underlay that peers know is kept.
func (c config) want(k known) underlay.Want {
	return underlay.Want{
		Ifaces: c.iface, Regex: c.ifaceRegex, CanReach: c.canReach.Addr, PublicIP: c.publicIP.Addr,
		Known: slices.Concat(k.public, k.local), Kept: k.local,
	}
}

// firstUnderlay returns the underlay of a start. Its MTU is 0 if it is not known yet.
func firstUnderlay(c config, saved savedState, paths *underlay.Paths) (underlay.Interface, error) {
	ifaces, err := underlay.Read()
	if err != nil {
		return underlay.Interface{}, err
	}
	known := saved.known()
	if len(known.local) == 0 { // the saved state was lost: the kernel may still have the tunnels
		known.local = tunnelEnds(ifaces)
	}
	i, err := underlay.Choose(ifaces, c.want(known), underlay.RouteTo)
	if err != nil {
		return i, err
	}
	return paths.Measure(i, ifaces, saved.peers)
}

// tunnelEnds returns the addresses at which the tunnels of podlane's VXLAN devices end.
func tunnelEnds(ifaces []underlay.Interface) (addrs []netip.Addr) {
	for _, i := range ifaces {
		if i.Tunnel.IsValid() {
			addrs = append(addrs, i.Tunnel)
		}
	}
	return addrs
}

// peers returns the public addresses of the saved leases.
func (s savedState) peers() (addrs []netip.Addr) {
	network, _, err := subnet.ParseNetwork(s.Config)
	if err != nil {
		return nil
	}
	for _, r := range s.Set().Records {
		addrs = append(addrs, publicIPs(network, r.Lease)...)
	}
	return addrs
}

// publicIPs returns the addresses of leases in the families of the overlay.
func publicIPs(network subnet.Network, leases ...subnet.Lease) (addrs []netip.Addr) {
	for _, l := range leases {
		for _, f := range subnet.Families {
			if a := l.Endpoint(f).PublicIP; a.IsValid() && network.Range(f).On() {
				addrs = append(addrs, a)
			}
		}
	}
	return addrs
}
