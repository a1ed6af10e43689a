package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/podlane/podlane/settings"
	"github.com/podlane/podlane/subnet"
)

// check returns an error if a setting is out of range, or contradicts another.
func (c config) check() error {
	switch {
	case c.leaseTTL < time.Minute:
		return fmt.Errorf("lease-ttl %s is shorter than 1m: the node would lose its pod subnet in a short outage of etcd", c.leaseTTL)
	case c.resync < time.Second:
		return fmt.Errorf("resync %s is shorter than 1s", c.resync)
	case c.logFormat != "text" && c.logFormat != "json":
		return fmt.Errorf("log-format %q is not text or json", c.logFormat)
	case !isLevel(c.logLevel):
		return fmt.Errorf("log-level %q is none of debug, info, warning and error", c.logLevel)
	}
	if err := c.checkStore(); err != nil {
		return err
	}
	return errors.Join(
		c.checkUnderlay(),
		c.checkHTTP(),
		checkPublic("public-ip", subnet.IPv4, c.publicIP),
		checkPublic("public-ipv6", subnet.IPv6, c.publicIPv6),
		subnet.Node{ID: c.nodeID, Name: c.nodeName}.Check(),
	)
}

// checkUnderlay checks the settings that choose the underlay interface. It does not read the interfaces.
func (c config) checkUnderlay() error {
	if len(c.iface) > 0 && (c.ifaceRegex != "" || c.canReach.IsValid()) || c.ifaceRegex != "" && c.canReach.IsValid() {
		return errors.New("give only one of iface, iface-regex and iface-can-reach")
	}
	for _, i := range c.iface { // no interface name contains a slash
		if _, err := netip.ParsePrefix(i); err != nil && strings.Contains(i, "/") {
			return fmt.Errorf("iface %q is not a CIDR such as 198.18.0.0/16", i)
		}
	}
	if _, err := regexp.Compile(c.ifaceRegex); err != nil {
		return fmt.Errorf("iface-regex %q is not a regular expression: %w", c.ifaceRegex, err)
	}
	return nil
}

// checkHTTP checks the addresses on which podlaned serves HTTP. The firewall keeps pods from the port of http, so metrics
// cannot have the same one.
func (c config) checkHTTP() error {
	if err := errors.Join(checkAddress("http", c.http), checkAddress("metrics", c.metrics)); err != nil {
		return err
	}
	if port := portOf(c.metrics); port != 0 && port == portOf(c.http) {
		return fmt.Errorf("metrics %s has the port of http %s, which pods cannot reach: give it another port such as 9473", c.metrics, c.http)
	}
	return nil
}

// checkAddress returns an error if an address has no port, or has a host that is not an IP address or localhost. Without a host
// it means all addresses of the node.
func checkAddress(setting, address string) error {
	if address == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(address)
	if err == nil && host != "" && host != "localhost" {
		_, err = netip.ParseAddr(host)
	}
	if n, e := strconv.ParseUint(port, 10, 16); err != nil || e != nil || n == 0 {
		return fmt.Errorf("%s %q is not an address with a port such as 127.0.0.1:9472", setting, address)
	}
	return nil
}

// portOf returns the port of a checked address; 0: it has none.
func portOf(address string) uint16 {
	_, port, _ := net.SplitHostPort(address)
	n, _ := strconv.ParseUint(port, 10, 16)
	return uint16(n)
}

// checkPublic returns an error if peers can never send to a public address. newBackend makes the checks that need the
// network and the underlay.
func checkPublic(name string, f subnet.Family, a settings.Addr) error {
	switch {
	case !a.IsValid():
		return nil
	case subnet.FamilyOf(a.Addr) != f || a.Is4In6() || a.Zone() != "":
		return fmt.Errorf("%s %s is not an %s address", name, a, f)
	case !subnet.CanBeNode(a.Addr):
		return fmt.Errorf("%s %s cannot be the address of a node", name, a)
	}
	return nil
}
