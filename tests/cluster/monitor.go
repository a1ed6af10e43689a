package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/lab"
)

// Monitor receives the kernel's notifications in a place. They are for links, addresses, routes, settings of interfaces
// and nftables. Neighbours and FDB entries are those of podlane's devices. Neighbours of other devices change by
// themselves.
type Monitor struct {
	place   *lab.Place
	sockets [2]int // route, netfilter
	own     map[uint32]string
}

var routeGroups = []int{
	unix.RTNLGRP_LINK, unix.RTNLGRP_NEIGH,
	unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV4_NETCONF,
	unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV6_RULE, unix.RTNLGRP_IPV6_NETCONF,
}

// WatchKernel starts a monitor, which runs until the test ends.
func WatchKernel(t *testing.T, p *lab.Place) *Monitor {
	t.Helper()
	m := &Monitor{place: p, own: map[uint32]string{}}
	Check(t, p.Do(func() (err error) {
		links, err := netlink.LinkList()
		for _, l := range links {
			if strings.HasPrefix(l.Attrs().Name, "podlane") {
				m.own[uint32(l.Attrs().Index)] = l.Attrs().Name
			}
		}
		if err == nil {
			m.sockets[0], err = subscribe(unix.NETLINK_ROUTE, routeGroups)
		}
		if err == nil {
			m.sockets[1], err = subscribe(unix.NETLINK_NETFILTER, []int{unix.NFNLGRP_NFTABLES})
		}
		return err
	}))
	t.Cleanup(func() {
		for _, fd := range m.sockets {
			_ = unix.Close(fd)
		}
	})
	return m
}

func subscribe(protocol int, groups []int) (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return fd, err
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20),
		unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}))
	for _, g := range groups {
		err = errors.Join(err, unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, g))
	}
	return fd, err
}

// Changes returns the changes since the last call, in words.
func (m *Monitor) Changes(t *testing.T) (all []string) {
	t.Helper()
	buffer := make([]byte, 1<<16)
	for _, fd := range m.sockets {
		for {
			n, _, err := unix.Recvfrom(fd, buffer, 0)
			if errors.Is(err, unix.EAGAIN) {
				break
			}
			Check(t, err)
			messages, err := syscall.ParseNetlinkMessage(buffer[:n])
			Check(t, err)
			for _, message := range messages {
				if text := m.describe(fd, message); text != "" {
					all = append(all, text)
				}
			}
		}
	}
	return all
}

var routeMessages = map[uint16]string{
	unix.RTM_NEWLINK: "new link", unix.RTM_DELLINK: "deleted link",
	unix.RTM_NEWADDR: "new address", unix.RTM_DELADDR: "deleted address",
	unix.RTM_NEWROUTE: "new route", unix.RTM_DELROUTE: "deleted route",
	unix.RTM_NEWRULE: "new rule", unix.RTM_DELRULE: "deleted rule",
	unix.RTM_NEWNEIGH: "new neighbour or FDB entry", unix.RTM_DELNEIGH: "deleted neighbour or FDB entry",
	unix.RTM_NEWNETCONF: "new setting", unix.RTM_DELNETCONF: "deleted setting",
}

func (m *Monitor) describe(fd int, message syscall.NetlinkMessage) string {
	kind := message.Header.Type
	if fd == m.sockets[1] {
		return fmt.Sprintf("nftables message %d", kind&0xff)
	}
	name := routeMessages[kind]
	switch kind {
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		return m.describeNeighbour(name, message.Data)
	case unix.RTM_NEWLINK, unix.RTM_DELLINK, unix.RTM_NEWADDR, unix.RTM_DELADDR:
		index := binary.NativeEndian.Uint32(message.Data[4:])
		if _, own := m.own[index]; message.Data[0] == unix.AF_BRIDGE && !own {
			return "" // the pods' bridge notifies of its ports again 15 s after they came up
		}
		return fmt.Sprintf("%s, interface %d", name, index)
	}
	return fmt.Sprintf("%s, family %d", name, message.Data[0])
}

// describeNeighbour ignores multicast addresses: the kernel adds and removes their neighbours by itself.
func (m *Monitor) describeNeighbour(name string, data []byte) string {
	own, ok := m.own[binary.NativeEndian.Uint32(data[4:])]
	n, err := netlink.NeighDeserialize(data)
	switch {
	case !ok || err == nil && n.IP.IsMulticast():
		return ""
	case err != nil:
		return fmt.Sprintf("%s of %s: %v", name, own, err)
	}
	return fmt.Sprintf("%s of %s: %s", name, own, n)
}

// ExpectNothing reports every change of the kernel as an error.
func (m *Monitor) ExpectNothing(t *testing.T) {
	t.Helper()
	if changes := m.Changes(t); len(changes) > 0 {
		t.Errorf("%s: %d changes of the kernel, want none: %s", m.place.Name, len(changes), strings.Join(changes, "; "))
	}
}
