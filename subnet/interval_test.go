package subnet

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func interval(first, last string) Interval { return Interval{addr(first), addr(last)} }

func TestFewestPrefixesOfAnInterval(t *testing.T) {
	for _, c := range []struct {
		interval Interval
		want     string
	}{
		{interval("10.5.0.0", "10.5.255.255"), "10.5.0.0/16"},
		{interval("10.5.1.0", "10.5.255.255"), "10.5.1.0/24 10.5.2.0/23 10.5.4.0/22 10.5.8.0/21 10.5.16.0/20 10.5.32.0/19 10.5.64.0/18 10.5.128.0/17"},
		{interval("10.10.0.0", "10.99.255.255"), "10.10.0.0/15 10.12.0.0/14 10.16.0.0/12 10.32.0.0/11 10.64.0.0/11 10.96.0.0/14"},
		{interval("10.5.0.7", "10.5.0.7"), "10.5.0.7/32"},
		{interval("10.5.0.1", "10.5.0.2"), "10.5.0.1/32 10.5.0.2/32"},
		{interval("0.0.0.0", "255.255.255.255"), "0.0.0.0/0"},
		{interval("255.255.255.254", "255.255.255.255"), "255.255.255.254/31"},
		{interval("fd00:5::", "fd00:7:ffff:ffff:ffff:ffff:ffff:ffff"), "fd00:5::/32 fd00:6::/31"},
		{interval("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), "::/0"},
		{interval("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127"},
		{Interval{}, ""},
	} {
		if got := strings.Trim(fmt.Sprint(c.interval.Prefixes()), "[]"); got != c.want {
			t.Errorf("%v: %s, want %s", c.interval, got, c.want)
		}
	}
	for _, longest := range []Interval{
		interval("0.0.0.1", "255.255.255.254"), interval("::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"),
	} {
		if got, want := len(longest.Prefixes()), 2*(longest.First.BitLen()-1); got != want {
			t.Errorf("%v: %d prefixes, want %d", longest, got, want)
		}
	}
}

func TestIntervalOverlapsPrefix(t *testing.T) {
	i := interval("10.10.0.0", "10.99.255.255")
	for p, want := range map[string]bool{
		"10.9.255.0/24": false, "10.9.0.0/16": false, "10.8.0.0/14": true, "10.10.0.0/32": true, "10.50.0.0/16": true, "10.99.255.255/32": true,
		"10.100.0.0/16": false, "10.0.0.0/8": true, "0.0.0.0/0": true, "10.50.0.1/8": true, "::/0": false, "::ffff:10.50.0.0/112": false,
	} {
		if got := i.Overlaps(prefix(p)); got != want {
			t.Errorf("%s overlaps %s: %v", i, p, got)
		}
	}
	if (Interval{}).Overlaps(prefix("10.0.0.0/8")) || i.Overlaps(netip.Prefix{}) {
		t.Error("nothing overlaps something")
	}
}

func TestUnionOfIntervals(t *testing.T) {
	for _, c := range []struct {
		intervals []Interval
		want      string
	}{
		{nil, "[]"},
		{[]Interval{interval("10.5.0.0", "10.5.0.9")}, "[10.5.0.0-10.5.0.9]"},
		{[]Interval{interval("10.6.0.0", "10.6.255.255"), interval("10.5.0.0", "10.5.255.255")}, "[10.5.0.0-10.6.255.255]"}, // adjacent, out of order
		{[]Interval{interval("10.5.0.0", "10.5.255.255"), interval("10.5.3.0", "10.5.3.255")}, "[10.5.0.0/16]"},
		{[]Interval{interval("10.5.3.0", "10.5.3.255"), interval("10.5.0.0", "10.5.255.255")}, "[10.5.0.0/16]"},
		{[]Interval{interval("10.5.0.0", "10.5.0.9"), interval("10.5.0.11", "10.5.0.12")}, "[10.5.0.0-10.5.0.9 10.5.0.11-10.5.0.12]"},
		{[]Interval{interval("255.0.0.0", "255.255.255.255"), interval("::", "::1")}, "[255.0.0.0/8 ::/127]"}, // not adjacent
		{[]Interval{interval("fd00::", "fd00::ff"), interval("10.5.0.0", "10.5.0.9"), interval("fd00::80", "fd00::1ff")}, "[10.5.0.0-10.5.0.9 fd00::/119]"},
	} {
		before := slices.Clone(c.intervals)
		if got := fmt.Sprint(Union(c.intervals)); got != c.want {
			t.Errorf("union of %v: %s, want %s", c.intervals, got, c.want)
		}
		if !slices.Equal(before, c.intervals) {
			t.Errorf("the argument has changed from %v to %v", before, c.intervals)
		}
	}
}

// checkPrefixes checks that the prefixes cover the interval in order, without a gap, and that no two could be merged.
func checkPrefixes(t *testing.T, i Interval) {
	t.Helper()
	ps := i.Prefixes()
	at := i.First
	for k, p := range ps {
		if !aligned(p) || p.Addr() != at {
			t.Fatalf("%v: %v has a gap or is out of order", i, ps)
		}
		if k > 0 && ps[k-1].Bits() == p.Bits() && netip.PrefixFrom(ps[k-1].Addr(), p.Bits()-1).Masked().Contains(p.Addr()) {
			t.Fatalf("%v: %v and %v are one prefix", i, ps[k-1], p)
		}
		at = last(p).Next()
	}
	if len(ps) == 0 || last(ps[len(ps)-1]) != i.Last {
		t.Fatalf("%v: %v does not end with it", i, ps)
	}
}

func FuzzPrefixes(f *testing.F) {
	f.Add([]byte{10, 10, 0, 0}, []byte{10, 99, 255, 255})
	f.Add([]byte{0, 0, 0, 0}, []byte{255, 255, 255, 255})
	f.Add(addr("fd00:5::").AsSlice(), addr("fd00:7::ffff").AsSlice())
	f.Add(addr("::").AsSlice(), addr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff").AsSlice())
	f.Fuzz(func(t *testing.T, a, b []byte) {
		first, ok1 := netip.AddrFromSlice(a)
		second, ok2 := netip.AddrFromSlice(b)
		if !ok1 || !ok2 || first.BitLen() != second.BitLen() {
			return
		}
		if second.Less(first) {
			first, second = second, first
		}
		checkPrefixes(t, Interval{first, second})
	})
}

func TestPrefixesOfRandomIntervals(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		a, b := number{lo: uint64(r.Uint32())}.addr(IPv4), number{lo: uint64(r.Uint32())}.addr(IPv4)
		if b.Less(a) {
			a, b = b, a
		}
		checkPrefixes(t, Interval{a, b})
	}
}
