package main

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/lab/sandbox"
)

func TestAddressesOfADevice(t *testing.T) {
	n := sandbox.Test(t, "node")
	for _, command := range []string{
		"link add x0 type bridge", "link add x1 type bridge",
		"address add 10.5.34.1/24 dev x0", "address add 192.168.7.1 peer 192.168.7.2/32 dev x0", "address add fd00:5:0:22::1/64 dev x0",
		"address add 10.5.35.1/24 dev x1", "address add fd00:5:0:23::1/64 dev x1",
	} {
		if _, err := n.Run("ip", strings.Fields(command)...); err != nil {
			t.Fatal(err)
		}
	}
	for device, want := range map[string]string{
		"x0":   "[10.5.34.1/24 192.168.7.1/32 fd00:5:0:22::1/64]",
		"x1":   "[10.5.35.1/24 fd00:5:0:23::1/64]",
		"none": "[]",
	} {
		var got string
		if err := n.Do(func() error {
			got = fmt.Sprint(addresses(device))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", device, got, want)
		}
	}
}

// FuzzReadAddress parses messages that a kernel never sends. The seeds are from Linux 6.18: an address with a peer, and an
// IPv6 address.
func FuzzReadAddress(f *testing.F) {
	header := func(family, length byte) []byte { return []byte{family, length, 0x80, 0, 3, 0, 0, 0} }
	f.Add(append(header(unix.AF_INET, 32), 8, 0, unix.IFA_ADDRESS, 0, 192, 168, 7, 2, 8, 0, unix.IFA_LOCAL, 0, 192, 168, 7, 1))
	f.Add(append(header(unix.AF_INET6, 64), append([]byte{20, 0, unix.IFA_ADDRESS, 0}, netip.MustParseAddr("fd00:5:0:22::1").AsSlice()...)...))
	f.Add(header(unix.AF_INET, 255))
	f.Add([]byte{unix.AF_INET})
	f.Fuzz(func(t *testing.T, data []byte) {
		data = data[:len(data)&^3] // the kernel pads, and the standard library relies on it
		m := syscall.NetlinkMessage{Header: syscall.NlMsghdr{Type: unix.RTM_NEWADDR}, Data: data}
		if p := readAddress(m, 3); p.IsValid() && p.Bits() != int(data[1]) {
			t.Errorf("% x: %s", data, p)
		}
	})
}
