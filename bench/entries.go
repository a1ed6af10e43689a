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

// device is the tunnel's.
const device = "podlane.1"

// entries is what podlaned has written for its peers, as the operator's tools read it.
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

// expect holds that the kernel has all entries of some peers.
func (e entries) expect(peers int) error {
	if len(e.Neighbours) != peers || len(e.FDB) != peers || len(e.Routes) != peers {
		return fmt.Errorf("%d neighbours, %d FDB entries and %d routes for %d peers", len(e.Neighbours), len(e.FDB), len(e.Routes), peers)
	}
	return nil
}

// write are the flags of requests that write whether or not something stands.
const write = unix.NLM_F_CREATE | unix.NLM_F_REPLACE

// batch is the entries as netlink requests: what the kernel itself takes, and nothing besides.
func (e entries) batch(index int) (b *rtnl.Batch, err error) {
	b = &rtnl.Batch{}
	for _, n := range e.Neighbours {
		dst, mac, err := pair(n.Dst, n.Lladdr)
		if err != nil {
			return nil, err
		}
		b.Start(unix.RTM_NEWNEIGH, write, ndmsg(unix.AF_INET, index, 0)...)
		b.Addr(unix.NDA_DST, dst)
		b.Bytes(unix.NDA_LLADDR, mac)
	}
	for _, f := range e.FDB {
		dst, mac, err := pair(f.Dst, f.Mac)
		if err != nil {
			return nil, err
		}
		b.Start(unix.RTM_NEWNEIGH, write, ndmsg(unix.AF_BRIDGE, index, unix.NTF_SELF)...)
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
		b.Start(unix.RTM_NEWROUTE, write, h...)
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

// ndmsg is the header of a neighbour request (struct ndmsg).
func ndmsg(family uint8, index int, flags uint8) []byte {
	h := make([]byte, unix.SizeofNdMsg)
	h[0], h[10] = family, flags
	binary.NativeEndian.PutUint32(h[4:], uint32(index))
	binary.NativeEndian.PutUint16(h[8:], unix.NUD_PERMANENT)
	return h
}

// scripts is the entries for ip -batch and bridge -batch, all routes with one metric, as flannel writes them.
func (e entries) scripts() (ip, bridge string) {
	var i, b strings.Builder
	for _, n := range e.Neighbours {
		fmt.Fprintf(&i, "neigh replace %s lladdr %s dev %s nud permanent\n", n.Dst, n.Lladdr, device)
	}
	for _, f := range e.FDB {
		fmt.Fprintf(&b, "fdb replace %s dst %s dev %s self permanent\n", f.Mac, f.Dst, device)
	}
	for _, r := range e.Routes {
		fmt.Fprintf(&i, "route replace %s via %s dev %s onlink\n", r.Dst, r.Gateway, device)
	}
	return i.String(), b.String()
}
