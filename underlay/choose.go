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

// Want describes the interface that should be the underlay. Its fields are tried in their order. If none is set, the
// interface with the Kept addresses is used; if there is none, that of the default route, IPv4's before IPv6's.
type Want struct {
	Ifaces   []string   // names, altnames, addresses or CIDRs, tried in order
	Regex    string     // matches in a name or an address; in an altname if it matches no name and no address
	CanReach netip.Addr // the interface through which the kernel sends to it
	PublicIP netip.Addr // the interface that has it; if none has (the node is behind NAT), the default route's

	// Known is the addresses by which peers know the node already. They choose no interface; of several addresses that
	// the chosen one has they come first, so that a further one, a virtual address say, does not take their place.
	Known []netip.Addr

	// Kept holds the addresses of the node at which the tunnels end. As long as an interface has them and is up, a changed
	// default route does not move the underlay: peers send to these addresses, and may not reach others.
	Kept []netip.Addr
}

// named reports whether the operator names the interface.
func (w Want) named() bool { return len(w.Ifaces) > 0 || w.Regex != "" || w.CanReach.IsValid() }

// Choose finds the underlay interface. route is RouteTo, and Choose is otherwise a pure function. The interface chosen is
// up and has an address that other nodes can use. The loopback interface is chosen only by its name or its address, which
// may be a Kept one. podlane.* and cni0, which podlane makes, are chosen only by name. The error names the wanted and the
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
			ways = append(ways, func() (Interface, error) { return c.keeping(want.Kept) })
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

// named returns the interface with a name, an altname, an address or a CIDR. The kernel gives no two interfaces the same
// name or altname.
func (c chooser) named(w string) (Interface, error) {
	if a, err := netip.ParseAddr(w); err == nil {
		if i, ok := c.holding(a); ok {
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

// first returns the first usable interface that matches; if some match and none is usable, what the first lacks.
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

// holding returns the interface that has an address.
func (c chooser) holding(a netip.Addr) (Interface, bool) {
	all := c.holders(func(i Interface) bool { return i.has(a) })
	if len(all) == 0 {
		return Interface{}, false
	}
	return all[0], true
}

// ours tells whether podlane, or the bridge plugin for it, made the interface.
func (i Interface) ours() bool {
	return i.Name == "cni0" || strings.HasPrefix(i.Name, "podlane") || strings.HasPrefix(i.Name, "pl-v6.")
}

// usable tells what an interface lacks to be the underlay.
func usable(i Interface) error {
	switch {
	case !i.Up:
		return fmt.Errorf("interface %s is down", i.Name)
	case !i.Local(subnet.IPv4).IsValid() && !i.Local(subnet.IPv6).IsValid():
		return fmt.Errorf("interface %s has no address that other nodes can use", i.Name)
	}
	return nil
}

// list is the interfaces as an operator knows them: eth0 (198.18.0.1/16), eth1 (down). The overlay's own and the pods'
// ends are left out, of which there may be hundreds.
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
