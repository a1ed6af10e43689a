package underlay

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/podlane/podlane/subnet"
)

// Want describes the wanted underlay interface. Choose tries Ifaces, Regex and CanReach in this order. If none of them is
// set, it tries PublicIP, then Kept, then the default route, IPv4's before IPv6's.
type Want struct {
	Ifaces   []string   // names, altnames, addresses or CIDRs, tried in order
	Regex    string     // matches a name or an address; an altname only if it matches no name and no address
	CanReach netip.Addr // the interface through which the kernel sends to this address
	PublicIP netip.Addr // the interface with this address; a node behind NAT has none

	// Known holds the addresses that peers know. They choose no interface. On the chosen interface they come first, so
	// that another address, such as a virtual one, does not replace them.
	Known []netip.Addr

	// Kept holds the addresses at which this node's tunnels end. While an interface has them and is up, a changed default
	// route does not move the underlay. Peers may not reach other addresses.
	Kept []netip.Addr
}

// named reports whether the operator names the interface.
func (w Want) named() bool { return len(w.Ifaces) > 0 || w.Regex != "" || w.CanReach.IsValid() }

// Choose returns the underlay interface. route is RouteTo; otherwise Choose is pure. The returned interface is up and has
// an address that other nodes can use. Choose returns the loopback interface only for its name or one of its addresses.
// It returns podlane's own interfaces (podlane*, pl-v6.*, cni0) only for their name. The error names the wanted and the
// existing interfaces.
func Choose(ifaces []Interface, want Want, route func(netip.Addr) (index int, err error)) (Interface, error) {
	c := chooser{ifaces, route}
	var ways []func() (Interface, error)
	for _, w := range want.Ifaces {
		ways = append(ways, func() (Interface, error) { return c.named(strings.TrimSpace(w)) })
	}
	if want.Regex != "" {
		ways = append(ways, func() (Interface, error) { return c.matching(want.Regex) })
	}
	if want.CanReach.IsValid() {
		ways = append(ways, func() (Interface, error) { return c.reaching(want.CanReach) })
	}
	if !want.named() {
		if want.PublicIP.IsValid() {
			ways = append(ways, func() (Interface, error) { return c.named(want.PublicIP.String()) })
		}
		if len(want.Kept) > 0 {
			ways = append(ways, func() (Interface, error) { return c.withKept(want.Kept) })
		}
		ways = append(ways, c.byDefault)
	}
	var errs []string
	for _, way := range ways {
		i, err := way()
		if err == nil {
			return i.preferring(want.Known), nil
		}
		errs = append(errs, err.Error())
	}
	return Interface{}, fmt.Errorf("choose the underlay interface: %s: there are %s", strings.Join(errs, "; "), list(ifaces))
}

type chooser struct {
	ifaces []Interface
	route  func(netip.Addr) (int, error)
}

// named returns the interface with a name, an altname, an address, or an address in a CIDR. No two interfaces share a
// name or an altname.
func (c chooser) named(w string) (Interface, error) {
	if a, err := netip.ParseAddr(w); err == nil {
		if i, ok := c.withAddress(a); ok {
			return i, usable(i)
		}
		return Interface{}, fmt.Errorf("no interface has address %s", w)
	}
	if p, err := netip.ParsePrefix(w); err == nil {
		return c.first("no interface has an address in "+w, func(i Interface) bool {
			return !i.ours() && slices.ContainsFunc(i.Addrs, func(a netip.Prefix) bool { return p.Masked().Contains(a.Addr()) })
		})
	}
	for _, i := range c.ifaces {
		if i.Name == w || slices.Contains(i.AltNames, w) {
			return i, usable(i)
		}
	}
	return Interface{}, fmt.Errorf("interface %s does not exist", w)
}

func (c chooser) matching(expression string) (Interface, error) {
	re, err := regexp.Compile(expression)
	if err != nil {
		return Interface{}, fmt.Errorf("regular expression %q: %w", expression, err)
	}
	byName := func(i Interface) bool {
		return !i.Loopback && !i.ours() && (re.MatchString(i.Name) ||
			slices.ContainsFunc(i.Addrs, func(a netip.Prefix) bool { return re.MatchString(a.Addr().String()) }))
	}
	byAltName := func(i Interface) bool {
		return !i.Loopback && !i.ours() && slices.ContainsFunc(i.AltNames, re.MatchString)
	}
	matches := byName
	if !slices.ContainsFunc(c.ifaces, byName) {
		matches = byAltName
	}
	return c.first(fmt.Sprintf("no interface has a name or an address that matches %q", expression), matches)
}

// first returns the first usable interface that matches. If some match but none is usable, the error is that of the
// first one.
func (c chooser) first(none string, matches func(Interface) bool) (Interface, error) {
	var unusable error
	for _, i := range c.ifaces {
		if !matches(i) {
			continue
		}
		err := usable(i)
		if err == nil {
			return i, nil
		}
		if unusable == nil {
			unusable = err
		}
	}
	if unusable == nil {
		unusable = errors.New(none)
	}
	return Interface{}, unusable
}

func (c chooser) reaching(a netip.Addr) (Interface, error) {
	i, err := c.routed(a)
	if err != nil {
		return Interface{}, fmt.Errorf("%s cannot be reached: %w", a, err)
	}
	if i.Loopback {
		return Interface{}, fmt.Errorf("%s is an address of this node itself", a)
	}
	return i, usable(i)
}

func (c chooser) byDefault() (Interface, error) {
	var errs []string
	for _, unspecified := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		i, err := c.routed(unspecified)
		if err == nil && i.Loopback {
			err = fmt.Errorf("the default route for %s goes to the loopback interface", subnet.FamilyOf(unspecified))
		}
		if err == nil {
			err = usable(i)
		}
		if err == nil {
			return i, nil
		}
		errs = append(errs, err.Error())
	}
	return Interface{}, fmt.Errorf("%s; name the interface with --iface", strings.Join(errs, ", and "))
}

func (c chooser) routed(a netip.Addr) (Interface, error) {
	index, err := c.route(a)
	if err != nil {
		return Interface{}, err
	}
	for _, i := range c.ifaces {
		switch {
		case i.Index != index:
			continue
		case i.ours():
			return Interface{}, fmt.Errorf("the route goes through the overlay itself, interface %s", i.Name)
		}
		return i, nil
	}
	return Interface{}, fmt.Errorf("the route goes through interface number %d, which does not exist", index)
}

// withAddress returns the interface that has an address.
func (c chooser) withAddress(a netip.Addr) (Interface, bool) {
	all := c.holders(func(i Interface) bool { return i.has(a) })
	if len(all) == 0 {
		return Interface{}, false
	}
	return all[0], true
}

// ours reports whether the interface was created by podlane, or by the bridge plugin for it.
func (i Interface) ours() bool {
	return i.Name == "cni0" || strings.HasPrefix(i.Name, "podlane") || strings.HasPrefix(i.Name, "pl-v6.")
}

// usable returns why an interface cannot be the underlay.
func usable(i Interface) error {
	switch {
	case !i.Up:
		return fmt.Errorf("interface %s is down", i.Name)
	case !i.Local(subnet.IPv4).IsValid() && !i.Local(subnet.IPv6).IsValid():
		return fmt.Errorf("interface %s has no address that other nodes can use", i.Name)
	}
	return nil
}

// list returns the interfaces in an operator's words: eth0 (198.18.0.1/16), eth1 (down). It omits podlane's own, and the
// host's ends of the pods' links, of which there may be hundreds.
func list(ifaces []Interface) string {
	var names []string
	for _, i := range ifaces {
		if i.ours() || strings.HasPrefix(i.Name, "veth") && len(i.Addrs) == 0 {
			continue
		}
		var notes []string
		if !i.Up {
			notes = append(notes, "down")
		}
		for _, a := range i.Addrs {
			if !a.Addr().IsLinkLocalUnicast() {
				notes = append(notes, a.String())
			}
		}
		if len(notes) == 0 {
			notes = append(notes, "no address")
		}
		names = append(names, fmt.Sprintf("%s (%s)", i.Name, strings.Join(notes, ", ")))
	}
	if len(names) == 0 {
		return "no interfaces"
	}
	return strings.Join(names, ", ")
}
