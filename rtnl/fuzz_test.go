package rtnl

import (
	"testing"

	"golang.org/x/sys/unix"
)

// FuzzNext iterates over arbitrary data: the iteration ends and stays within the data.
func FuzzNext(f *testing.F) {
	var b Batch
	b.Start(unix.RTM_NEWLINK, 0, 1, 2, 3, 4)
	b.String(1, "podlane.1")
	b.Nest(2, func() { b.Uint32(3, 4) })
	b.Start(unix.NLMSG_ERROR, unix.NLM_F_ACK_TLVS, append([]byte{0xea, 0xff, 0xff, 0xff}, make([]byte, unix.SizeofNlMsghdr)...)...)
	b.String(unix.NLMSGERR_ATTR_MSG, "why")
	f.Add(b.seal(0, 2, 1))
	f.Add([]byte{3, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		seen := 0
		for m, rest, ok := Next(data); ok; m, rest, ok = Next(rest) {
			seen += unix.SizeofNlMsghdr + len(m.Body)
			_, attrs, _ := m.Header(4)
			inner := 0
			for attrs.Next() {
				inner += unix.SizeofRtAttr + len(attrs.Value)
				_, _, _, _ = attrs.Text(), attrs.Addr(), attrs.Uint8(), attrs.Port()
				_, _ = attrs.Array32(int(attrs.Uint32() % 64))
			}
			if inner > len(m.Body) {
				t.Errorf("%d bytes of attributes in a body of %d", inner, len(m.Body))
			}
			_ = answer(m)
		}
		if seen > len(data) {
			t.Errorf("%d bytes of messages in %d", seen, len(data))
		}
	})
}
