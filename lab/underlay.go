package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/lab/sandbox"
)

// bridgeName is the name of the underlay bridge in the sandbox's own namespace.
const bridgeName = "underlay0"

// underlay is the bridge that connects the nodes.
type underlay struct {
	bridge *netlink.Bridge
	plans  []plan // one for each family in use
	mtu    int
	cables []cable
}

// cable is a pair of devices: device here, eth0 in the namespace.
type cable struct {
	device string
	ns     sandbox.Namespace
}

// makeUnderlay makes the bridge with the router's and etcd's addresses. It turns on forwarding between the bridge and
// the outside.
func makeUnderlay(o Options) (*underlay, error) {
	u := &underlay{plans: plans[:1], mtu: o.MTU}
	if o.IPv6 {
		u.plans = plans
	}
	if err := errors.Join(sysctl(router), sysctl(quiet)); err != nil {
		return nil, err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = bridgeName, o.MTU
	attrs.HardwareAddr = net.HardwareAddr{2, 0, 0, 1, 0, 0} // otherwise it changes with the ports, and the nodes do not notice
	u.bridge = &netlink.Bridge{LinkAttrs: attrs}
	if err := netlink.LinkAdd(u.bridge); err != nil {
		return nil, fmt.Errorf("make bridge %s: %w", bridgeName, err)
	}
	var addrs []netip.Prefix
	for _, p := range u.plans {
		for i := 1; i <= o.EtcdMembers; i++ {
			addrs = append(addrs, p.member(i))
		}
	}
	if err := setUp(bridgeName, addrs); err != nil {
		return u, err
	}
	return u, nil
}

// router is set in the router's namespace, quiet in all. With quiet, IPv6 addresses are usable at once, without a
// second of duplicate address detection.
var (
	router = map[string]string{"ipv4/ip_forward": "1", "ipv6/conf/all/forwarding": "1"}
	quiet  = map[string]string{"ipv6/conf/all/accept_dad": "0", "ipv6/conf/default/accept_dad": "0"}
)

// sysctl sets kernel parameters of this network namespace. It ignores those that the kernel lacks, as without IPv6.
func sysctl(parameters map[string]string) error {
	for name, value := range parameters {
		err := os.WriteFile("/proc/sys/net/"+name, []byte(value), 0)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// makeOutside makes the namespace for the rest of the world. It has a route to the underlay, but none to the pod
// network.
func (u *underlay) makeOutside(o Options) (*Place, error) {
	place, err := makePlace("outside", o.Bin, nil)
	if err != nil {
		return nil, err
	}
	if err := u.veth("outside0", place.ns, nil); err != nil {
		return place, err
	}
	var here, there []netip.Prefix
	var routes []netlink.Route
	for _, p := range u.plans {
		here, there = append(here, p.gateway()), append(there, p.world())
		routes = append(routes, route(p.underlay, p.gateway().Addr()))
	}
	if err := setUp("outside0", here); err != nil {
		return place, err
	}
	return place, place.Do(func() error { return configure(there, routes) })
}

// attach connects node i to the bridge. Its default route leads to the outside. Its MAC address never changes, like a
// machine's: other nodes remember it over a reboot.
func (u *underlay) attach(i int, ns sandbox.Namespace) error {
	name := fmt.Sprintf("n%d", i)
	if err := u.veth(name, ns, net.HardwareAddr{2, 0, 0, 0, byte(i >> 8), byte(i)}); err != nil {
		return err
	}
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetMaster(link, u.bridge); err != nil {
		return fmt.Errorf("connect %s to %s: %w", name, bridgeName, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	var addrs []netip.Prefix
	var routes []netlink.Route
	for _, p := range u.plans {
		addrs = append(addrs, p.node(i))
		anywhere := netip.PrefixFrom(p.underlay.Addr(), 0).Masked()
		routes = append(routes, route(anywhere, p.router().Addr()))
	}
	return ns.Do(func() error { return configure(addrs, routes) })
}

// await waits until the kernel sees that everything is up, which may take a second. Before that the bridge does not
// forward to a node, and IPv6 addresses are not used.
func (u *underlay) await(ctx context.Context) error {
	for _, c := range u.cables {
		if err := c.await(ctx); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return poll(ctx, 10*time.Millisecond, func() (bool, error) { return deviceUp(bridgeName) })
}

func (c cable) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := poll(ctx, 10*time.Millisecond, c.up); err != nil {
		return fmt.Errorf("wait for %s and its other end: %w", c.device, err)
	}
	return nil
}

func (c cable) up() (bool, error) {
	here, err := deviceUp(c.device)
	if err != nil || !here {
		return false, err
	}
	there := false
	err = c.ns.Do(func() (err error) {
		there, err = deviceUp("eth0")
		return err
	})
	return there, err
}

// deviceUp reports whether a device has a carrier and all its addresses are usable.
func deviceUp(name string) (bool, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return false, fmt.Errorf("find %s: %w", name, err)
	}
	addrs, err := netlink.AddrList(link, netlink.FAMILY_V6)
	if err != nil {
		return false, fmt.Errorf("list addresses of %s: %w", name, err)
	}
	tentative := slices.ContainsFunc(addrs, func(a netlink.Addr) bool { return a.Flags&unix.IFA_F_TENTATIVE != 0 })
	return link.Attrs().OperState == netlink.OperUp && !tentative, nil
}

// veth makes a pair of devices: name here, eth0 in the namespace. Without a MAC address for eth0 the kernel chooses
// one.
func (u *underlay) veth(name string, ns sandbox.Namespace, mac net.HardwareAddr) error {
	f, err := os.Open(ns.Path())
	if err != nil {
		return err
	}
	defer f.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = name, u.mtu
	v := &netlink.Veth{
		LinkAttrs: attrs, PeerName: "eth0", PeerMTU: uint32(u.mtu), PeerHardwareAddr: mac, PeerNamespace: netlink.NsFd(f.Fd()),
	}
	if err := netlink.LinkAdd(v); err != nil {
		return fmt.Errorf("connect %s: %w", ns.Name, err)
	}
	if c := (cable{name, ns}); !slices.Contains(u.cables, c) { // a node that boots again has one
		u.cables = append(u.cables, c)
	}
	return nil
}

// remove removes the bridge and the devices.
func (u *underlay) remove() error {
	devices := []string{bridgeName}
	for _, c := range u.cables {
		devices = append(devices, c.device)
	}
	var errs []error
	for _, name := range devices {
		errs = append(errs, removeDevice(name))
	}
	return errors.Join(errs...)
}

// removeDevice removes a device of this namespace. It ignores one that was deleted with the namespace of its other
// end.
func removeDevice(name string) error {
	link, err := netlink.LinkByName(name)
	var gone netlink.LinkNotFoundError
	if errors.As(err, &gone) {
		return nil
	}
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

// configure adds addresses and routes to eth0 of this namespace.
func configure(addrs []netip.Prefix, routes []netlink.Route) error {
	if err := setUp("eth0", addrs); err != nil {
		return err
	}
	for _, r := range routes {
		if err := netlink.RouteAdd(&r); err != nil {
			return fmt.Errorf("add route %s: %w", r, err)
		}
	}
	return nil
}

// setUp adds addresses to a device of this namespace, without duplicate address detection, and sets it up.
func setUp(name string, addrs []netip.Prefix) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	for _, a := range addrs {
		addr := netlink.Addr{IPNet: ipNet(a)}
		if a.Addr().Is6() {
			addr.Flags = unix.IFA_F_NODAD
		}
		if err := netlink.AddrAdd(link, &addr); err != nil {
			return fmt.Errorf("add address %s to %s: %w", a, name, err)
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("raise %s: %w", name, err)
	}
	return nil
}
