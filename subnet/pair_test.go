package subnet

import (
	"net/netip"
	"strings"
	"testing"
)

func TestKeysAreAsFlannelWritesThem(t *testing.T) {
	for key, want := range map[string]Pair{
		"10.5.34.0-24":                      pair("10.5.34.0/24"),
		"10.5.34.0-24&fd00:5:22::-64":       pair("10.5.34.0/24", "fd00:5:22::/64"),
		"10.12.13.0-24&fd00:12:13::-56":     pair("10.12.13.0/24", "fd00:12:13::/56"),
		"0.0.0.0-0&fd00:5:22::-64":          pair("fd00:5:22::/64"),
		"128.0.0.0-1&8000::-1":              pair("128.0.0.0/1", "8000::/1"),
		"0.0.0.0-1":                         pair("0.0.0.0/1"),
		"10.5.34.7-32&fd00::1-128":          pair("10.5.34.7/32", "fd00::1/128"),
		"10.5.34.0-24&fd00:0:0:5::-64":      pair("10.5.34.0/24", "fd00:0:0:5::/64"),
		"255.255.255.252-30&ffff:fff0::-28": pair("255.255.255.252/30", "ffff:fff0::/28"),
	} {
		got, err := ParseKey(key)
		if err != nil || got != want {
			t.Errorf("ParseKey(%q) = %v, %v", key, got, err)
		}
		if want.Key() != key {
			t.Errorf("Key() of %s is %q, want %q", want, want.Key(), key)
		}
	}
}

func TestKeysThatAreNotLeases(t *testing.T) {
	for _, key := range []string{
		"", "-", "&", "10", "10.5.34.0", "10.5.34.0-", "10.5.34-24", "10.5.34.300-24", "10.5.34.0-24hi", "10.5.34.0-33", "10.5.34.0--1",
		"10.5.34.0-+24", "10.5.34.0-024", "010.5.34.0-24", "10.5.34.0-24 ", " 10.5.34.0-24", "10.5.34.0/24", "10.5.34.0-24-24", "10.5.34.0-24/24",
		"10.5.34.1-24", "0.0.0.0-0", "0.0.0.0-0&", "0.0.0.0-0&0.0.0.0-0", "0.0.0.0-0&::-0", "10.5.34.0-24&", "&fd00:5:22::-64", "fd00:5:22::-64",
		"10.5.34.0-24&10.5.35.0-24", "10.5.34.0-24&fd00:5:22::1-64", "10.5.34.0-24&FD00:5:22::-64", "10.5.34.0-24&fd00:5:22:0::-64",
		"10.5.34.0-24&fd00:5:22::-129", "10.5.34.0-24&fd00:5:22::%1-64", "10.5.34.0-24&::ffff:10.5.0.0-112", "::ffff:10.5.0.0-112",
		"10.5.34.0-24&fd00:5:22::-64&fd00:5:23::-64", "10.5.34.0-24&fd00:5:22::", "10.5.34.0-24&20011::-56", "config", "10.5.34.0-24\x00",
		"\xff\xfe", strings.Repeat("1", 100_000),
	} {
		p, err := ParseKey(key)
		if p != (Pair{}) {
			t.Errorf("ParseKey(%.80q) = %s", key, p)
		}
		wantError(t, err, "is not a lease: want a name like 10.5.34.0-24")
	}
}

func TestPairMethods(t *testing.T) {
	p := pair("10.5.34.0/24", "fd00:5:22::/64")
	for _, c := range []struct {
		p    Pair
		text string
	}{
		{p, "10.5.34.0/24 and fd00:5:22::/64"},
		{pair("10.5.34.0/24"), "10.5.34.0/24"},
		{pair("fd00:5:22::/64"), "fd00:5:22::/64"},
		{Pair{}, "no pod subnet"},
	} {
		if c.p.String() != c.text {
			t.Errorf("String() = %q, want %q", c.p, c.text)
		}
		if c.p.IsZero() != (c.p == Pair{}) {
			t.Errorf("IsZero(%s) is wrong", c.p)
		}
	}
	if p.Half(IPv4) != p.IPv4 || p.Half(IPv6) != p.IPv6 {
		t.Error("Half returns the half of the wrong family")
	}
	if got := p.With(IPv6, netip.Prefix{}); got != pair("10.5.34.0/24") {
		t.Errorf("pair without its IPv6 half: got %s", got)
	}
	for _, c := range []struct {
		q    Pair
		want bool
	}{
		{p, true},
		{pair("10.5.34.0/24", "fd00:5:23::/64"), true},
		{pair("10.5.35.0/24", "fd00:5:22::/64"), true},
		{pair("10.5.0.0/16"), true},
		{pair("10.5.34.9/32"), true},
		{pair("fd00:5:22::/48"), true},
		{pair("10.5.35.0/24", "fd00:5:23::/64"), false},
		{Pair{}, false},
	} {
		if p.Overlaps(c.q) != c.want || c.q.Overlaps(p) != c.want {
			t.Errorf("overlap of %s and %s is not %v", p, c.q, c.want)
		}
	}
	if (Pair{}).Overlaps(Pair{}) {
		t.Error("empty pairs overlap")
	}
}

func TestFamilies(t *testing.T) {
	for _, f := range Families {
		if got := FamilyOf(prefix(example[f]).Addr()); got != f {
			t.Errorf("FamilyOf(%s) = %s", example[f], got)
		}
		if f.Bits() != prefix(example[f]).Addr().BitLen() {
			t.Errorf("%s has %d bits", f, f.Bits())
		}
	}
	if FamilyOf(addr("::ffff:10.0.0.1")) != IPv6 || IPv4.String() != "IPv4" || IPv6.String() != "IPv6" {
		t.Error("wrong family")
	}
}

func FuzzParseKey(f *testing.F) {
	for _, s := range []string{"10.5.34.0-24", "10.5.34.0-24&fd00:5:22::-64", "0.0.0.0-0&fd00:5:22::-64", "0.0.0.0-0", "10.5.34.1-24", "&", "10.5.34.0-24&::ffff:0:0-96"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, key string) {
		p, err := ParseKey(key)
		if err != nil {
			wantError(t, err, "is not a lease")
			return
		}
		if p.Key() != key || p.IsZero() {
			t.Errorf("%q parses as %s, whose key is %q", key, p, p.Key())
		}
		for _, f := range Families {
			if half := p.Half(f); half.IsValid() && (!aligned(half) || FamilyOf(half.Addr()) != f || half.Bits() == 0) {
				t.Errorf("%q has the half %s", key, half)
			}
		}
	})
}
