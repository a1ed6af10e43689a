package firewall

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/subnet"
)

// Rules is the input of the node's firewall. Rules that are Equal yield the same table.
type Rules struct {
	Network    subnet.Network    // VXLAN port and VNI are those of the tunnels
	Pods       []subnet.Interval // the addresses that pods have, in any order; empty: the whole pod network
	Subnet     subnet.Pair       // this node's pod subnets
	Masquerade bool              // packets that leave the pod network get the node's address
	// Peers are the peers' public addresses, of both families, in any order. The node accepts VXLAN only from these. Empty, but
	// not nil: it accepts VXLAN from no host. Nil: they are not known yet, so the sender is not checked.
	Peers       []netip.Addr
	PeerSubnets []netip.Prefix // the peers' pod subnets, of both families, in any order
	// PodInterfaces are the node's interfaces that lead to its pods: cni0, or a veth for each pod. The overlay's own device is
	// not among them.
	PodInterfaces []string
	// BridgeHidden means that connection tracking does not see packets that the bridge forwards between pods.
	BridgeHidden bool
	HTTPPort     uint16 // TCP port of the daemon's HTTP on every node, which pods must not reach; 0: none

	// Each of these facts about the node may be missing. Then Problems and Advice are less exact, and the table has fewer early
	// rules: see early.go.
	Bridge   Bridge
	Underlay Interface                       // the interface that carries the tunnels
	OnlyWay  bool                            // no other interface can have the route to a peer
	Overlay  [len(subnet.Families)]Interface // the overlay's devices
	Addrs    []netip.Addr                    // the addresses on the underlay at which this node's tunnels end
}

// Interface is an interface of the node. The zero value means that it is unknown.
type Interface struct {
	Name  string
	Index int // 0: it does not exist, or its index is unknown
}

// Bridge is the interface that leads to all pods of the node. The zero value means that there are several, or none.
type Bridge struct {
	Interface
	Addrs []netip.Prefix // with the prefix length of the link, in any order
}

// isOverlay reports whether a name is that of one of the overlay's devices.
func (r Rules) isOverlay(name string) bool {
	return slices.ContainsFunc(r.Overlay[:], func(i Interface) bool { return i.Name == name })
}

func (b Bridge) equal(o Bridge) bool {
	return b.Interface == o.Interface && slices.Equal(b.Addrs, o.Addrs)
}

func (r Rules) check() error {
	if len(r.Network.Prefixes()) == 0 || r.Subnet.IsZero() {
		return errors.New("firewall: the pod network or this node's pod subnet is missing")
	}
	for _, f := range subnet.Families {
		if half := r.Subnet.Half(f); half.IsValid() && !subnet.Contains(r.Network.Range(f).Prefix, half) {
			return fmt.Errorf("firewall: pod subnet %s is not in the pod network", half)
		}
	}
	for _, name := range r.PodInterfaces {
		if name == "" || len(name) >= unix.IFNAMSIZ {
			return fmt.Errorf("firewall: %q is not the name of an interface", name)
		}
	}
	return nil
}

// Equal reports whether two Rules are the same input. The order and duplicates of lists do not matter, except for Addrs.
func (r Rules) Equal(o Rules) bool { return r.normalized().equal(o.normalized()) }

// normalized sorts all lists but Addrs, and removes duplicates and invalid addresses.
func (r Rules) normalized() Rules {
	if len(r.Pods) == 0 {
		r.Pods = r.Network.Pods(nil, subnet.Lease{}, nil)
	}
	r.Pods = subnet.Union(r.Pods)
	if r.Peers != nil {
		peers := make([]netip.Addr, 0, len(r.Peers))
		for _, a := range r.Peers {
			if a.IsValid() {
				peers = append(peers, a.Unmap().WithZone(""))
			}
		}
		slices.SortFunc(peers, netip.Addr.Compare)
		r.Peers = slices.Compact(peers)
	}
	r.PeerSubnets = sortedPrefixes(r.PeerSubnets)
	r.PodInterfaces = slices.Compact(slices.Sorted(slices.Values(r.PodInterfaces)))
	r.Bridge.Addrs = sortedPrefixes(r.Bridge.Addrs)
	return r
}

// sortedPrefixes returns a list sorted and without duplicates.
func sortedPrefixes(list []netip.Prefix) []netip.Prefix {
	list = slices.Clone(list)
	slices.SortFunc(list, netip.Prefix.Compare)
	return slices.Compact(list)
}

// families returns the families of the pod network. Only these have tunnels.
func (r Rules) families() (on []subnet.Family) {
	for _, f := range subnet.Families {
		if r.Network.Range(f).On() {
			on = append(on, f)
		}
	}
	return on
}

// pods returns the addresses of pods of one family. The Rules are normalized.
func (r Rules) pods(f subnet.Family) (pods []subnet.Interval) {
	for _, i := range r.Pods {
		if subnet.FamilyOf(i.First) == f {
			pods = append(pods, i)
		}
	}
	return pods
}

// podPrefixes returns the addresses of pods as prefixes, for programs without intervals.
func (r Rules) podPrefixes(families ...subnet.Family) (prefixes []netip.Prefix) {
	for _, f := range families {
		for _, i := range r.pods(f) {
			prefixes = append(prefixes, i.Prefixes()...)
		}
	}
	return prefixes
}

// equal is Equal for Rules that are normalized.
func (r Rules) equal(o Rules) bool {
	return r.Network == o.Network && slices.Equal(r.Pods, o.Pods) && r.Subnet == o.Subnet && r.Masquerade == o.Masquerade &&
		r.BridgeHidden == o.BridgeHidden && r.HTTPPort == o.HTTPPort &&
		(r.Peers == nil) == (o.Peers == nil) && slices.Equal(r.Peers, o.Peers) && slices.Equal(r.PeerSubnets, o.PeerSubnets) &&
		slices.Equal(r.PodInterfaces, o.PodInterfaces) && r.Bridge.equal(o.Bridge) &&
		r.Underlay == o.Underlay && r.OnlyWay == o.OnlyWay && r.Overlay == o.Overlay && slices.Equal(r.Addrs, o.Addrs)
}
