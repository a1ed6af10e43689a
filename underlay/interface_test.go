package underlay

import (
	"net/netip"
	"testing"

	"github.com/podlane/podlane/subnet"
)

func prefixes(texts ...string) (ps []netip.Prefix) {
	for _, text := range texts {
		ps = append(ps, netip.MustParsePrefix(text))
	}
	return ps
}

func TestLocalIsAnAddressThatOthersCanUse(t *testing.T) {
	i := Interface{Addrs: prefixes("169.254.0.9/16", "fe80::1/64", "198.18.0.1/16", "198.18.0.2/16", "2001:db8::1/64")}
	for f, want := range map[subnet.Family]string{subnet.IPv4: "198.18.0.1", subnet.IPv6: "2001:db8::1"} {
		if got := i.Local(f); got.String() != want {
			t.Errorf("%s: %s, want %s", f, got, want)
		}
	}
	if got := (Interface{Addrs: prefixes("fe80::1/64")}).Local(subnet.IPv6); got.IsValid() {
		t.Errorf("a link-local address alone: %s", got)
	}
	if !i.OnLink(netip.MustParseAddr("198.18.255.1")) || i.OnLink(netip.MustParseAddr("198.19.0.1")) {
		t.Error("198.18.255.1 is on the link, and 198.19.0.1 is not")
	}
}

func TestSameUnderlay(t *testing.T) {
	i := Interface{Name: "eth0", Index: 2, MTU: 1500, Up: true, Addrs: prefixes("198.18.0.1/16", "fe80::1/64", "2001:db8::1/64", "2001:db8::2/64")}
	for name, c := range map[string]struct {
		change func(*Interface)
		same   bool
	}{
		"nothing": {func(*Interface) {}, true},
		"link-local address": {func(j *Interface) {
			j.Addrs = prefixes("fe80::2/64", "198.18.0.1/16", "2001:db8::1/64", "2001:db8::2/64")
		}, true},
		"another address":       {func(j *Interface) { j.Addrs = prefixes("198.18.0.2/16") }, false},
		"a further address":     {func(j *Interface) { j.Addrs = append(j.Addrs, prefixes("198.18.0.2/16")...) }, false},
		"another prefix length": {func(j *Interface) { j.Addrs = prefixes("198.18.0.1/24") }, false},
		"order":                 {func(j *Interface) { j.Addrs = prefixes("198.18.0.1/16", "2001:db8::2/64", "2001:db8::1/64") }, false},
		"order, but not locals": {func(j *Interface) {
			j.Addrs = prefixes("198.18.0.1/16", "2001:db8::1/64", "2001:db8::2/64", "fe80::1/64")
		}, true},
		"MTU":                    {func(j *Interface) { j.MTU = 9000 }, false},
		"made again":             {func(j *Interface) { j.Index = 3 }, false},
		"another name, a rename": {func(j *Interface) { j.Name = "net0" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			j := i
			j.Addrs = append([]netip.Prefix(nil), i.Addrs...)
			c.change(&j)
			if i.Same(j) != c.same || j.Same(i) != c.same {
				t.Errorf("same: %v, want %v", i.Same(j), c.same)
			}
		})
	}
}
