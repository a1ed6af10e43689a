package subnet

import (
	"net/netip"
	"strings"
	"testing"
)

// The address must never change: peers and running devices keep it across an upgrade.
func TestMACOfAPodSubnetIsFixed(t *testing.T) {
	for p, want := range map[string]string{
		"10.5.34.0/24":   "7a:37:2a:e9:e0:73",
		"fd00:5:22::/64": "42:1f:a6:ad:11:42",
	} {
		if got := MACFor(prefix(p)).String(); got != want {
			t.Errorf("MACFor(%s) = %s, want %s", p, got, want)
		}
	}
	if MACFor(prefix("10.5.34.9/24")) != MACFor(prefix("10.5.34.0/24")) {
		t.Error("the bits behind the prefix change the address")
	}
}

func TestMACsOfPodSubnetsAreValidAndDiffer(t *testing.T) {
	seen := map[MAC]netip.Prefix{}
	for i := range 1 << 16 {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24)
		m := MACFor(p)
		if m[0]&3 != 2 {
			t.Fatalf("%s of %s is not unicast and locally administered", m, p)
		}
		if back, err := ParseMAC(m.String()); err != nil || back != m {
			t.Fatalf("%s is read back as %s, %v", m, back, err)
		}
		if other, twice := seen[m]; twice {
			t.Fatalf("%s and %s have the same address", p, other)
		}
		seen[m] = p
	}
	if MACFor(prefix("10.5.34.0/24")) == MACFor(prefix("10.5.34.0/25")) {
		t.Error("the length does not count")
	}
}

func TestParseMAC(t *testing.T) {
	for text, want := range map[string]string{
		"c6:d2:32:6f:8f:44":         "",
		"C6-D2-32-6F-8F-44":         "", // net.ParseMAC reads these, and so does flannel
		"c6d2.326f.8f44":            "",
		"":                          `MAC "" is not an Ethernet address`,
		"c6:d2:32:6f:8f":            "is not an Ethernet address",
		"c6:d2:32:6f:8f:44:00":      "is not an Ethernet address",
		"02:00:5e:10:00:00:00:01":   "is not an Ethernet address", // EUI-64
		"c6:d2:32:6f:8f:4g":         "is not an Ethernet address",
		"00:00:00:00:00:00":         "MAC 00:00:00:00:00:00 is zero",
		"ff:ff:ff:ff:ff:ff":         "MAC ff:ff:ff:ff:ff:ff is a multicast address",
		"01:00:5e:00:00:01":         "is a multicast address",
		strings.Repeat("c6:", 9999): "is not an Ethernet address",
	} {
		m, err := ParseMAC(text)
		wantError(t, err, want)
		if (want == "") != (m.String() == "c6:d2:32:6f:8f:44") || m.IsZero() != (want != "") {
			t.Errorf("ParseMAC(%.40q) = %s", text, m)
		}
	}
}
