package vxlan

import (
	"testing"

	"github.com/podlane/podlane/subnet"
)

func TestDeviceNames(t *testing.T) {
	for _, c := range []struct {
		family subnet.Family
		vni    uint32
		want   string
	}{
		{subnet.IPv4, 1, "podlane.1"},
		{subnet.IPv4, 4096, "podlane.4096"},
		{subnet.IPv4, 9999999, "podlane.9999999"},
		{subnet.IPv4, 10000000, "podlane.x989680"},
		{subnet.IPv4, subnet.MaxVNI, "podlane.xffffff"},
		{subnet.IPv6, 1, "podlane-v6.1"},
		{subnet.IPv6, 9999, "podlane-v6.9999"},
		{subnet.IPv6, 10000, "pl-v6.x2710"},
		{subnet.IPv6, subnet.MaxVNI, "pl-v6.xffffff"},
	} {
		name := DeviceName(c.family, c.vni)
		if name != c.want || len(name) > maxName {
			t.Errorf("%s VNI %d: %q, want %q", c.family, c.vni, name, c.want)
		}
		for _, f := range subnet.Families {
			if ownName(f, name) != (f == c.family) {
				t.Errorf("%q is taken for one of the %s devices: %t", name, f, f != c.family)
			}
		}
	}
}

func TestForeignDeviceNames(t *testing.T) {
	for _, name := range []string{
		"", "podlane", "podlane.", "podlane.0", "podlane.01", "podlane.+1", "podlane.x1", "podlane.xfFFFFF", "podlane.16777216",
		"podlane.x989680a", "podlane.1a", "podlane.1.2", "podlane0", "podlane-v6.", "podlane-v6.10000", "pl-v6.x1", "pl-v6.1", "flannel.1",
	} {
		for _, f := range subnet.Families {
			if ownName(f, name) {
				t.Errorf("%q is taken for one of our %s devices", name, f)
			}
		}
	}
}
