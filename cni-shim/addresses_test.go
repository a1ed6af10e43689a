package main

import (
	"fmt"
	"strings"
	"testing"

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
