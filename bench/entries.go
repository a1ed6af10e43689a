package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/rtnl"
)

// device is the name of the tunnel's device.
const device = "podlane.1"

// entries holds what podlaned has written for its peers, as read with ip and bridge.
type entries struct {
	Neighbours []struct{ Dst, Lladdr string }
	FDB        []struct{ Mac, Dst string }
	Routes     []struct {
		Dst, Gateway string
		Metric       uint32
	}
}

func readEntries(ctx context.Context, n *lab.Node) (e entries, err error) {
	for _, read := range []struct {
		command string
		into    any
	}{
		{"ip -j neigh show dev " + device + " nud permanent", &e.Neighbours},
		{"bridge -j fdb show dev " + device, &e.FDB},
		{"ip -j route show dev " + device + " proto 112", &e.Routes},
	} {
		words := strings.Fields(read.command)
		out, err := n.Run(ctx, words[0], words[1:]...)
		if err != nil {
			return e, err
		}
		if err := json.Unmarshal([]byte(out), read.into); err != nil {
			return e, fmt.Errorf("%s: %w", read.command, err)
		}
	}
	return e, nil
}

// expect returns an error unless the kernel has all entries of this number of peers.
func (e entries) expect(peers int) error {
	if len(e.Neighbours) != peers || len(e.FDB) != peers || len(e.Routes) != peers {
		return fmt.Errorf("%d neighbours, %d FDB entries and %d routes for %d peers", len(e.Neighbours), len(e.FDB), len(e.Routes), peers)
	}
	return nil
}

// edit is entries to write, replacing existing ones, or to remove.
type edit struct {
	entries
	remove bool
}

// batch returns the edit as netlink requests: the minimum that the kernel needs.
func (e edit) batch(index int) (b *rtnl.Batch, err error) {
	b = &rtnl.Batch{}
	neigh, route, flags := uint16(unix.RTM_NEWNEIGH), uint16(unix.RTM_NEWROUTE), uint16(unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	if e.remove {
		neigh, route, flags = unix.RTM_DELNEIGH, unix.RTM_DELROUTE, 0
	}
	for _, n := range e.Neighbours {
		dst, mac, err := pair(n.Dst, n.Lladdr)
		if err != nil {
			return nil, err
		}
		b.Start(neigh, flags, ndmsg(unix.AF_INET, index, 0)...)
		b.Addr(unix.NDA_DST, dst)
		b.Bytes(unix.NDA_LLADDR, mac)
	}
	for _, f := range e.FDB {
		dst, mac, err := pair(f.Dst, f.Mac)
		if err != nil {
			return nil, err
		}
		b.Start(neigh, flags, ndmsg(unix.AF_BRIDGE, index, unix.NTF_SELF)...)
		b.Bytes(unix.NDA_LLADDR, mac)
		b.Addr(unix.NDA_DST, dst)
	}
	for _, r := range e.Routes {
		prefix, err := netip.ParsePrefix(r.Dst)
		if err != nil {
			return nil, err
		}
		via, err := netip.ParseAddr(r.Gateway)
		if err != nil {
			return nil, err
		}
		h := []byte{unix.AF_INET, byte(prefix.Bits()), 0, 0, unix.RT_TABLE_MAIN, 112, unix.RT_SCOPE_UNIVERSE, unix.RTN_UNICAST, 0, 0, 0, 0}
		binary.NativeEndian.PutUint32(h[8:], unix.RTNH_F_ONLINK)
		b.Start(route, flags, h...)
		b.Addr(unix.RTA_DST, prefix.Addr())
		b.Addr(unix.RTA_GATEWAY, via)
		b.Uint32(unix.RTA_OIF, uint32(index))
		b.Uint32(unix.RTA_PRIORITY, r.Metric)
	}
	return b, nil
}

func pair(addr, mac string) (netip.Addr, net.HardwareAddr, error) {
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return a, nil, err
	}
	m, err := net.ParseMAC(mac)
	return a, m, err
}

// ndmsg returns the header of a neighbour request (struct ndmsg).
func ndmsg(family uint8, index int, flags uint8) []byte {
	h := make([]byte, unix.SizeofNdMsg)
	h[0], h[10] = family, flags
	binary.NativeEndian.PutUint32(h[4:], uint32(index))
	binary.NativeEndian.PutUint16(h[8:], unix.NUD_PERMANENT)
	return h
}

// scripts returns the edit for ip -batch and bridge -batch. All routes have one metric, as flannel writes them. A
// script without commands is empty.
func (e edit) scripts() (ip, bridge string) {
	verb := "replace"
	if e.remove {
		verb = "del"
	}
	var i, b strings.Builder
	for _, n := range e.Neighbours {
		fmt.Fprintf(&i, "neigh %s %s lladdr %s dev %s nud permanent\n", verb, n.Dst, n.Lladdr, device)
	}
	for _, f := range e.FDB {
		fmt.Fprintf(&b, "fdb %s %s dst %s dev %s self permanent\n", verb, f.Mac, f.Dst, device)
	}
	for _, r := range e.Routes {
		fmt.Fprintf(&i, "route %s %s via %s dev %s onlink\n", verb, r.Dst, r.Gateway, device)
	}
	return i.String(), b.String()
}

// moved returns the FDB entries of the first peers at other public addresses. For a peer that moves nothing else
// changes.
func (e entries) moved(peers int) (m entries) {
	for i, f := range e.FDB[:peers] {
		f.Dst = peerLease(i, 1).IPv4.PublicIP.String()
		m.FDB = append(m.FDB, f)
	}
	return m
}
