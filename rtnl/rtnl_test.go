package rtnl

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/lab/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// inside runs f with a connection in a new namespace.
func inside(t *testing.T, f func(c *Conn) error) {
	t.Helper()
	err := sandbox.Test(t, "n1").Do(func() error {
		c, err := Dial()
		if err != nil {
			return err
		}
		defer c.Close()
		return f(c)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// addAddress and deleteAddress add requests for lo, whose index is always 1.
func addAddress(b *Batch, a netip.Addr)    { address(b, unix.RTM_NEWADDR, a) }
func deleteAddress(b *Batch, a netip.Addr) { address(b, unix.RTM_DELADDR, a) }

func address(b *Batch, kind uint16, a netip.Addr) {
	h := []byte{unix.AF_INET, 32, 0, 0, 0, 0, 0, 0}
	binary.NativeEndian.PutUint32(h[4:], 1)
	b.Start(kind, unix.NLM_F_CREATE, h...)
	b.Addr(unix.IFA_LOCAL, a)
}

func number(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}

func count(c *Conn) (n int, err error) {
	var b Batch
	b.Start(unix.RTM_GETADDR, 0, unix.AF_INET, 0, 0, 0, 0, 0, 0, 0)
	err = c.Dump(&b, func(m Message) {
		if m.Type == unix.RTM_NEWADDR {
			n++
		}
	})
	return n, err
}

func TestSendMany(t *testing.T) {
	inside(t, func(c *Conn) error {
		var b Batch
		for i := range 3000 {
			addAddress(&b, number(i))
		}
		if err := c.Send(&b, func(i int, err error) { t.Errorf("request %d: %v", i, err) }); err != nil {
			return err
		}
		n, err := count(c)
		if n != 3001 {
			t.Errorf("%d addresses, want 3,000 and that of the loopback", n)
		}
		return err
	})
}

// If the kernel refuses every request, its replies must fit the socket's buffer of any size.
func TestEveryRequestFails(t *testing.T) {
	for name, buffer := range map[string]int{"own": 0, "smallest": 4 << 10, "small": 64 << 10} {
		t.Run(name, func(t *testing.T) {
			inside(t, func(c *Conn) error {
				if err := c.shrink(buffer); err != nil {
					return err
				}
				return everyRequestFails(t, c)
			})
		})
	}
}

// shrink limits the receive buffer as for a container without CAP_NET_ADMIN.
func (c *Conn) shrink(buffer int) error {
	if buffer == 0 {
		return nil
	}
	if err := unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, buffer); err != nil {
		return err
	}
	got, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	c.limit = max(1, got/replySize)
	return err
}

func everyRequestFails(t *testing.T, c *Conn) error {
	t.Helper()
	const requests = 10000
	var b Batch
	for i := range requests {
		deleteAddress(&b, number(i))
	}
	next := 0
	err := c.Send(&b, func(i int, err error) {
		if i != next || !errors.Is(err, unix.EADDRNOTAVAIL) {
			t.Errorf("request %d, want %d: %v", i, next, err)
		}
		next = i + 1
	})
	if next != requests {
		t.Errorf("%d failures, want %d", next, requests)
	}
	return err
}

func TestErrorsNameTheirRequest(t *testing.T) {
	inside(t, func(c *Conn) error {
		var b Batch
		for i := range 100 {
			if i%7 == 3 {
				deleteAddress(&b, number(i))
			} else {
				addAddress(&b, number(i))
			}
		}
		var failed []int
		err := c.Send(&b, func(i int, _ error) { failed = append(failed, i) })
		for _, i := range failed {
			if i%7 != 3 {
				t.Errorf("request %d failed", i)
			}
		}
		if len(failed) != 14 {
			t.Errorf("%d failed, want 14", len(failed))
		}
		return err
	})
}

func TestErrorHasKernelText(t *testing.T) {
	inside(t, func(c *Conn) error {
		var b Batch
		b.Start(unix.RTM_NEWROUTE, unix.NLM_F_CREATE, unix.AF_INET, 24, 0, 0, unix.RT_TABLE_MAIN, 112, 0, unix.RTN_UNICAST, 0, 0, 0, 0)
		b.Addr(unix.RTA_DST, netip.MustParseAddr("10.5.2.0"))
		b.Addr(unix.RTA_GATEWAY, netip.MustParseAddr("192.0.2.1"))
		return c.Send(&b, func(_ int, err error) {
			var e *Error
			if !errors.As(err, &e) || e.Text == "" || !errors.Is(err, unix.ENETUNREACH) {
				t.Errorf("got %v", err)
			}
		})
	})
}

func TestDumpFails(t *testing.T) {
	inside(t, func(c *Conn) error {
		var b Batch
		b.Start(unix.RTM_GETROUTE, 0, unix.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
		b.Uint32(unix.RTA_TABLE, 77)
		if err := c.Dump(&b, func(Message) {}); !errors.Is(err, unix.ENOENT) {
			t.Errorf("a table that does not exist: %v", err)
		}
		_, err := count(c)
		return err
	})
}

// The kernel returns a long dump in parts. A change between two parts makes the whole dump unreliable.
func TestDumpIsInterrupted(t *testing.T) {
	inside(t, func(c *Conn) error {
		other, err := Dial()
		if err != nil {
			return err
		}
		defer other.Close()
		var b Batch
		for i := range 3000 {
			addAddress(&b, number(i))
		}
		if err := c.Send(&b, func(_ int, err error) { t.Error(err) }); err != nil {
			return err
		}
		b.Reset()
		b.Start(unix.RTM_GETADDR, 0, unix.AF_INET, 0, 0, 0, 0, 0, 0, 0)
		once := false
		err = c.Dump(&b, func(Message) {
			if !once {
				once = true
				var b Batch
				addAddress(&b, number(4000))
				err = other.Send(&b, func(_ int, err error) { t.Error(err) })
			}
		})
		if !errors.Is(err, ErrInterrupted) {
			t.Errorf("got %v", err)
		}
		_, err = count(c)
		return err
	})
}

func TestGet(t *testing.T) {
	inside(t, func(c *Conn) error {
		var b Batch
		b.Start(unix.RTM_GETLINK, 0, make([]byte, unix.SizeofIfInfomsg)...)
		b.String(unix.IFLA_IFNAME, "lo")
		seen := 0
		if err := c.Get(&b, func(m Message) {
			if m.Type == unix.RTM_NEWLINK {
				seen++
			}
		}); err != nil || seen != 1 {
			t.Errorf("lo: %d messages, %v", seen, err)
		}
		b.Reset()
		b.Start(unix.RTM_GETLINK, 0, make([]byte, unix.SizeofIfInfomsg)...)
		b.String(unix.IFLA_IFNAME, "none")
		if err := c.Get(&b, func(Message) { t.Error("a message") }); !errors.Is(err, unix.ENODEV) {
			t.Errorf("none: %v", err)
		}
		return nil
	})
}

func TestAttributesReadBack(t *testing.T) {
	var b Batch
	b.Start(unix.RTM_NEWLINK, unix.NLM_F_CREATE, 1, 2, 3, 4)
	b.String(1, "podlane.1")
	b.Nest(2|unix.NLA_F_NESTED, func() {
		b.Uint8(3, 7)
		b.Port(4, 8472)
		b.Nest(5, func() { b.Uint32(6, 1<<30) })
	})
	b.Addr(7, netip.MustParseAddr("fd00::1"))
	b.Start(unix.RTM_DELLINK, 0)
	m, rest, ok := Next(b.seal(0, 2, 41))
	header, attrs, has := m.Header(4)
	if !ok || !has {
		t.Fatalf("no message with a header: %+v", m)
	}
	want := Message{Type: unix.RTM_NEWLINK, Flags: unix.NLM_F_CREATE | unix.NLM_F_REQUEST, Seq: 41, Body: m.Body}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]byte{1, 2, 3, 4}, header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	var got []any
	for attrs.Next() {
		switch attrs.Type {
		case 1:
			got = append(got, attrs.Text())
		case 2:
			for in := attrs.Nested(); in.Next(); {
				got = append(got, in.Uint8(), in.Port())
				for deep := in.Nested(); in.Type == 5 && deep.Next(); {
					got = append(got, deep.Uint32())
				}
			}
		case 7:
			got = append(got, attrs.Addr())
		}
	}
	values := []any{"podlane.1", uint8(7), uint16(0), uint8(0), uint16(8472), uint8(0), uint16(0), uint32(1 << 30), netip.MustParseAddr("fd00::1")}
	if diff := cmp.Diff(values, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	if m, _, ok = Next(rest); !ok || m.Type != unix.RTM_DELLINK || m.Seq != 42 || m.Flags&unix.NLM_F_ACK == 0 {
		t.Errorf("the last message %+v", m)
	}
}
