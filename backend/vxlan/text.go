package vxlan

import (
	"fmt"
	"net/netip"
	"strconv"

	"github.com/podlane/podlane/subnet"
)

// The texts of writes, in the syntax of ip and bridge. The texts of entries are built without fmt. With thousands of
// peers fmt would take as long as the kernel does.

func (d device) String() string {
	s := fmt.Sprintf("link %s type vxlan id %d dstport %d local %s mtu %d address %s",
		d.name, d.fixed.vni, d.fixed.port, d.local, d.mtu, d.mac)
	if d.fixed.gbp {
		s += " gbp"
	}
	if d.learning {
		s += " learning"
	}
	return s
}

func learningText(d device) string {
	if d.learning {
		return "learning"
	}
	return "nolearning"
}

func mtuText(d device) string { return "mtu " + strconv.Itoa(d.mtu) }

func addressText(p netip.Prefix, dev string) string { return "address " + p.String() + " dev " + dev }

func neighbourText(a netip.Addr, mac subnet.MAC, dev string) string {
	b := make(words, 0, 80).word("neigh").addr(a)
	if !mac.IsZero() {
		b = b.word("lladdr").mac(mac)
	}
	return string(b.word("dev").word(dev))
}

func fdbText(mac subnet.MAC, dst netip.Addr, dev string) string {
	b := make(words, 0, 96).word("fdb").mac(mac)
	if dst.IsValid() {
		b = b.word("dst").addr(dst)
	}
	return string(b.word("dev").word(dev))
}

func routeText(k routeKey, r route, dev string) string {
	b := make(words, 0, 128).word("route").prefix(k.prefix)
	if k.tos != 0 {
		b = b.word("tos").hex(k.tos)
	}
	if r.via.IsValid() {
		b = b.word("via").addr(r.via).word("dev").word(dev)
	}
	b = b.word("proto").number(protocol).word("metric").number(uint64(k.metric))
	if r.onlink {
		b = b.word("onlink")
	}
	return string(b)
}

// words is text that grows word by word.
type words []byte

func (b words) space() words {
	if len(b) == 0 {
		return b
	}
	return append(b, ' ')
}

func (b words) word(s string) words   { return append(b.space(), s...) }
func (b words) number(n uint64) words { return strconv.AppendUint(b.space(), n, 10) }
func (b words) hex(n uint8) words {
	return strconv.AppendUint(append(b.space(), "0x"...), uint64(n), 16)
}
func (b words) addr(a netip.Addr) words     { return a.AppendTo(b.space()) }
func (b words) prefix(p netip.Prefix) words { return p.AppendTo(b.space()) }

func (b words) mac(m subnet.MAC) words {
	const digits = "0123456789abcdef"
	b = b.space()
	for i, x := range m {
		if i > 0 {
			b = append(b, ':')
		}
		b = append(b, digits[x>>4], digits[x&15])
	}
	return b
}
