package bridge

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/kernel"
	"github.com/podlane/podlane/rtnl"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/sysctl"
)

// write restores what a bridge lacks. The addresses come first, so that IPv6 works at once when the bridge is up.
func (f fix) write(c *rtnl.Conn) (ops []kernel.Op, err error) {
	name := f.device.name
	if f.ipv6 {
		op, err := sysctl.EnableIPv6(name)
		if err != nil {
			return nil, err
		}
		op.Drift = true
		ops = append(ops, op)
	}
	for _, a := range f.addrs {
		op := kernel.Op{Verb: "add", Kind: "address", Object: "address " + a.String() + " dev " + name, Drift: true}
		if f.ipv6 && isLinkLocal(a) {
			// The kernel created it again when IPv6 was enabled, and does not use it for a second (duplicate address detection).
			_ = send(c, func(b *rtnl.Batch) { address(b, unix.RTM_DELADDR, 0, f.device.index, a) }) // it fails if there is none
		}
		if err := send(c, func(b *rtnl.Batch) { address(b, unix.RTM_NEWADDR, putFlags, f.device.index, a) }); err != nil {
			return ops, fmt.Errorf("%s: %w; run this on the node: ip address add %s dev %s", op, err, a, name)
		}
		ops = append(ops, op)
	}
	if f.up {
		op := kernel.Op{Verb: "set", Kind: "device", Object: "link " + name + " up", Drift: true}
		if err := send(c, func(b *rtnl.Batch) { link(b, f.device.index, unix.IFF_UP) }); err != nil {
			return ops, fmt.Errorf("%s: %w; run this on the node: ip link set %s up", op, err, name)
		}
		ops = append(ops, op)
	}
	return ops, nil
}

// makeVisible makes iptables, nftables and connection tracking see the packets that the bridges forward. A pod may reach
// another pod of its node through a port of the node. If connection tracking does not see the answer, nothing translates its
// address back.
//
// It writes the bridge's own setting (Linux 2.6.37), whatever net.bridge.bridge-nf-call-iptables is. This needs the kernel
// module br_netfilter; netfilter reports whether that is loaded. Without it, or if the kernel refuses, makeVisible sets hidden.
func (k *Keeper) makeVisible(c *rtnl.Conn, have snapshot, own subnet.Pair, netfilter bool) (ops []kernel.Op) {
	visible := map[string]bool{}
	k.hidden = false
	for _, b := range k.known {
		d, exists := have.bridge(b.Name)
		if !exists || b.Index == 0 {
			continue
		}
		if !netfilter {
			k.hidden = true
			continue
		}
		for _, f := range subnet.Families {
			if !own.Half(f).IsValid() || d.visible[f] {
				continue
			}
			what := [...]string{subnet.IPv4: "nf_call_iptables", subnet.IPv6: "nf_call_ip6tables"}[f]
			op := kernel.Op{Verb: "set", Kind: "device", Object: "link " + d.name + " type bridge " + what + " 1", Drift: k.visible[d.name]}
			if err := send(c, func(b *rtnl.Batch) { link(b, d.index, 0); setVisible(b, f) }); err != nil {
				k.hidden = true // the firewall then masquerades instead
				continue
			}
			ops = append(ops, op)
		}
		visible[d.name] = !k.hidden
	}
	k.visible = visible
	return ops
}

func send(c *rtnl.Conn, request func(b *rtnl.Batch)) (refused error) {
	var b rtnl.Batch
	request(&b)
	if err := c.Send(&b, func(_ int, err error) { refused = err }); err != nil {
		return err
	}
	return refused
}

// link begins a change of an interface that sets these flags.
func link(b *rtnl.Batch, index int, flags uint32) {
	h := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(h[4:], uint32(index)) //nolint:gosec // the kernel's interface indexes are positive
	binary.NativeEndian.PutUint32(h[8:], flags)
	binary.NativeEndian.PutUint32(h[12:], flags)
	b.Start(unix.RTM_NEWLINK, 0, h...)
}

func setVisible(b *rtnl.Batch, f subnet.Family) {
	b.Nest(unix.IFLA_LINKINFO, func() {
		b.String(unix.IFLA_INFO_KIND, kind)
		b.Nest(unix.IFLA_INFO_DATA, func() { b.Uint8(visibleAttr[f], 1) })
	})
}

const putFlags = unix.NLM_F_CREATE | unix.NLM_F_REPLACE

// address adds or deletes an address. IPv6 addresses are usable at once (nodad): the bridge had them before.
func address(b *rtnl.Batch, request, flags uint16, index int, p netip.Prefix) {
	h := []byte{unix.AF_INET6, uint8(p.Bits()), unix.IFA_F_NODAD, unix.RT_SCOPE_UNIVERSE, 0, 0, 0, 0} //nolint:gosec // at most 128
	if p.Addr().Is4() {
		h[0], h[2] = unix.AF_INET, 0
	}
	binary.NativeEndian.PutUint32(h[4:], uint32(index)) //nolint:gosec // as in link
	b.Start(request, flags, h...)
	b.Addr(unix.IFA_LOCAL, p.Addr())
	b.Addr(unix.IFA_ADDRESS, p.Addr())
	if p.Addr().Is4() && p.Bits() < 31 {
		b.Addr(unix.IFA_BROADCAST, broadcast(p))
	}
}

// broadcast returns the last address of a prefix.
func broadcast(p netip.Prefix) netip.Addr {
	a := p.Addr().As4()
	binary.BigEndian.PutUint32(a[:], binary.BigEndian.Uint32(a[:])|(1<<(32-p.Bits())-1))
	return netip.AddrFrom4(a)
}
