package subnet

import (
	"math/big"
	"net/netip"
	"testing"
)

func TestLastAddress(t *testing.T) {
	for p, want := range map[string]string{
		"10.5.34.0/24":   "10.5.34.255",
		"10.5.34.7/24":   "10.5.34.255",
		"10.5.34.7/32":   "10.5.34.7",
		"0.0.0.0/0":      "255.255.255.255",
		"128.0.0.0/1":    "255.255.255.255",
		"fd00::/64":      "fd00::ffff:ffff:ffff:ffff",
		"fd00::/63":      "fd00::1:ffff:ffff:ffff:ffff",
		"fd00::/65":      "fd00::7fff:ffff:ffff:ffff",
		"fd00::5/128":    "fd00::5",
		"::/0":           "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		"8000::/1":       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		"::/1":           "7fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		"ffff::/127":     "ffff::1",
		"fd00:5::/4":     "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		"::ffff:0:0/112": "::ffff:0.0.255.255",
	} {
		if got := last(prefix(p)).String(); got != want {
			t.Errorf("last of %s is %s, want %s", p, got, want)
		}
	}
}

// The arithmetic must carry between its two halves. The test compares it with big.Int.
func TestNumbersCarry(t *testing.T) {
	modulus := new(big.Int).Lsh(big.NewInt(1), 128)
	values := []uint64{0, 1, 2, 1<<63 - 1, 1 << 63, 1<<64 - 2, 1<<64 - 1}
	var numbers []number
	for _, hi := range values {
		for _, lo := range values {
			numbers = append(numbers, number{hi, lo})
		}
	}
	for _, a := range numbers {
		if back := numberOf(a.addr(IPv6)); back != a {
			t.Fatalf("%v is read back as %v", a, back)
		}
		for _, b := range numbers {
			sum := new(big.Int).Add(a.big(), b.big())
			difference := new(big.Int).Sub(a.big(), b.big())
			if sum.Mod(sum, modulus).Cmp(a.add(b).big()) != 0 || difference.Mod(difference, modulus).Cmp(a.sub(b).big()) != 0 {
				t.Fatalf("wrong sum or difference of %v and %v", a, b)
			}
			if a.less(b) != (a.big().Cmp(b.big()) < 0) {
				t.Fatalf("wrong order of %v and %v", a, b)
			}
		}
	}
}

func TestBlockSizes(t *testing.T) {
	for _, f := range Families {
		for length := range f.Bits() + 1 {
			want := new(big.Int).Lsh(big.NewInt(1), uint(f.Bits()-length))
			want.Mod(want, new(big.Int).Lsh(big.NewInt(1), 128))
			if got := blockSize(f, length).big(); got.Cmp(want) != 0 {
				t.Errorf("a %s /%d has %d addresses, want %d", f, length, got, want)
			}
		}
	}
}

func TestAlignedPrefixes(t *testing.T) {
	if !aligned(prefix("10.5.34.0/24")) {
		t.Error("10.5.34.0/24 is not aligned")
	}
	if aligned(prefix("10.5.34.1/24")) {
		t.Error("10.5.34.1/24 is aligned")
	}
	if aligned(netip.Prefix{}) {
		t.Error("the zero prefix is aligned")
	}
}

func TestParents(t *testing.T) {
	var ps []netip.Prefix
	for _, s := range []string{
		"10.5.34.0/24", "10.5.0.0/16", "10.5.34.128/25", "10.5.34.0/26", "10.5.34.0/24", "10.6.0.0/16", "10.0.0.0/8",
		"fd00::/64", "fd00::/48", "fd00::/128", "0.0.0.0/1", "::/1", "10.5.35.0/24",
	} {
		ps = append(ps, prefix(s))
	}
	want := map[string]string{
		"10.0.0.0/8": "0.0.0.0/1", "10.5.0.0/16": "10.0.0.0/8", "10.6.0.0/16": "10.0.0.0/8", "10.5.34.0/24": "10.5.0.0/16", "10.5.35.0/24": "10.5.0.0/16",
		"10.5.34.0/26": "10.5.34.0/24", "10.5.34.128/25": "10.5.34.0/24", "fd00::/64": "fd00::/48", "fd00::/128": "fd00::/64",
	}
	got := map[string]string{}
	for child, parent := range parents(ps) {
		got[child.String()] = parent.String()
	}
	if d := diff(want, got); d != "" {
		t.Errorf("parents (-want +got):\n%s", d)
	}
}
