package subnet

import (
	"fmt"
	"net/netip"
	"slices"
)

// Pods returns the addresses of all pod subnets of the range, the whole last one included.
func (r Range) Pods() Interval { return Interval{r.Min, last(netip.PrefixFrom(r.Max, r.SubnetLen))} }

// covers reports whether all addresses of a prefix are in pod subnets of the range.
func (r Range) covers(p netip.Prefix) bool {
	pods := r.Pods()
	return pods.Contains(p.Masked().Addr()) && pods.Contains(last(p))
}

// Pods returns the addresses that pods can have, as the fewest intervals. links holds the underlay's prefixes. In each
// family these are:
//   - all addresses of the pod network, if it contains no address of the underlay,
//   - else the addresses of the range, of our own lease, and of peers' leases from another configuration.
func (n Network) Pods(links []netip.Prefix, self Lease, peers []Lease) (pods []Interval) {
	for _, f := range Families {
		r := n.Range(f)
		switch {
		case !r.On():
		case !n.containsUnderlay(f, links, self, peers):
			pods = append(pods, IntervalOf(r.Prefix))
		default:
			pods = append(pods, r.Pods())
			for _, l := range append([]Lease{self}, peers...) {
				if p := l.Endpoint(f).Subnet; p.IsValid() && !r.covers(p) {
					pods = append(pods, IntervalOf(p))
				}
			}
		}
	}
	return Union(pods)
}

// containsUnderlay reports whether the pod network contains addresses of the underlay: of its links, or of nodes.
func (n Network) containsUnderlay(f Family, links []netip.Prefix, self Lease, peers []Lease) bool {
	network := n.Range(f).Prefix
	return slices.ContainsFunc(links, network.Overlaps) || network.Contains(self.Endpoint(f).PublicIP) ||
		slices.ContainsFunc(peers, func(l Lease) bool { return network.Contains(l.Endpoint(f).PublicIP) })
}

// CheckPublicIP returns an error if no node can have this public address on the underlay's links. Then a pod can have it, or
// it is reserved.
func (n Network) CheckPublicIP(links []netip.Prefix, a netip.Addr) error {
	if !CanBeNode(a) {
		return fmt.Errorf("public address %s cannot be the address of a node", a)
	}
	if r := n.Range(FamilyOf(a)); r.On() && r.Pods().Contains(a) {
		return fmt.Errorf("public address %s is in the pod network: pods have %s", a, r.Pods())
	}
	for _, link := range links {
		switch {
		case link.Bits() >= link.Addr().BitLen()-1: // all its addresses are host addresses: RFC 3021, RFC 6164
		case a.Is4() && a == last(link):
			return fmt.Errorf("public address %s is the broadcast address of the underlay %s", a, link.Masked())
		case a == link.Masked().Addr():
			return fmt.Errorf("public address %s is the %s of the underlay %s", a, firstOf[FamilyOf(a)], link.Masked())
		}
	}
	return nil
}

// firstOf describes the first address of a link; for IPv6 see RFC 4291 section 2.6.1.
var firstOf = map[Family]string{IPv4: "network address", IPv6: "anycast address of all routers"}
