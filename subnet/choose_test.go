package subnet

import (
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// checkChoice checks that a pair fits the network and overlaps no taken one.
func checkChoice(t testing.TB, n Network, taken []Pair, p Pair) {
	t.Helper()
	if !n.Fits(p) {
		t.Fatalf("%s does not fit %+v", p, n)
	}
	for _, other := range taken {
		if p.Overlaps(other) {
			t.Fatalf("%s overlaps %s", p, other)
		}
	}
}

// checkChoices chooses four times. Each choice is taken for the next one.
func checkChoices(t testing.TB, n Network, taken []Pair, identity string) {
	t.Helper()
	for range 4 {
		p, err := Choose(n, taken, identity)
		if errors.Is(err, ErrFull) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		checkChoice(t, n, taken, p)
		taken = append(taken[:len(taken):len(taken)], p)
	}
}

// With m identities on k subnets, a random function leaves k(1-1/k)^m of them empty.
func TestFirstChoicesAreSpread(t *testing.T) {
	n := dualStack(t)
	for _, naming := range []string{"node-%d", "%032x", "10.0.0.%d"} {
		for _, f := range Families {
			chosen := map[netip.Prefix]int{}
			quarters := map[uint64]int{}
			for i := range 1000 {
				p, err := Choose(n, nil, fmt.Sprintf(naming, i))
				if err != nil {
					t.Fatal(err)
				}
				chosen[p.Half(f)]++
				r := n.Range(f)
				at := numberOf(p.Half(f).Addr()).sub(numberOf(r.Min)).big()
				quarters[at.Mul(at, big.NewInt(4)).Div(at, numberOf(last(r.Prefix)).sub(numberOf(r.Min)).big()).Uint64()]++
			}
			// IPv4 has 255 subnets: 250 should be hit, with a deviation of about 2.2. IPv6 has 65,535: 992.4, about 2.7.
			if want := map[Family]int{IPv4: 240, IPv6: 981}[f]; len(chosen) < want {
				t.Errorf("%s of 1000 identities like %q: %d different subnets, want %d", f, naming, len(chosen), want)
			}
			for q := range uint64(4) { // each quarter should get 250, with a deviation of 13.7
				if quarters[q] < 190 || quarters[q] > 310 {
					t.Errorf("%s: %d of 1000 in quarter %d of the range", f, quarters[q], q)
				}
			}
		}
	}
}

func TestEverySubnetCanBeTheFirstChoice(t *testing.T) {
	n := network(t, `{"Network":"10.5.0.0/16","SubnetMin":"10.5.10.0","SubnetMax":"10.5.17.0"}`)
	chosen := map[Pair]int{}
	for i := range 800 {
		p, err := Choose(n, nil, fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		chosen[p]++
	}
	for i := 10; i <= 17; i++ { // each should be chosen 100 times, with a deviation of 9.4
		if p := pair(fmt.Sprintf("10.5.%d.0/24", i)); chosen[p] < 60 || chosen[p] > 140 {
			t.Errorf("%s is the first choice of %d in 800", p, chosen[p])
		}
	}
}

func TestSameArgumentsGiveTheSameChoice(t *testing.T) {
	n := dualStack(t)
	a, _ := Choose(n, nil, "a")
	for range 10 {
		if again, _ := Choose(n, nil, "a"); again != a {
			t.Fatalf("%s, then %s", a, again)
		}
	}
}

func TestFullNetworkGivesEverySubnetOnceAndThenAnError(t *testing.T) {
	for _, config := range []string{
		`{"Network":"10.5.0.0/16"}`,
		`{"Network":"10.5.0.0/28"}`,
		`{"Network":"10.5.0.0/16","SubnetMin":"10.5.7.0","SubnetMax":"10.5.20.0"}`,
		`{"Network":"128.0.0.0/1","SubnetLen":8}`,
		`{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00:5::/58"}`,
		`{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"8000::/1","IPv6SubnetLen":7}`,
		`{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:5::/62"}`,
	} {
		t.Run(config, func(t *testing.T) {
			n := network(t, config)
			want := 1 << 30
			for _, f := range Families {
				if r := n.Range(f); r.On() {
					count := numberOf(r.Max).sub(numberOf(r.Min)).big()
					want = min(want, 1+int(count.Div(count, blockSize(f, r.SubnetLen).big()).Int64()))
				}
			}
			var taken []Pair
			for {
				p, err := Choose(n, taken, "node "+fmt.Sprint(len(taken)))
				if err != nil {
					if !errors.Is(err, ErrFull) || p != (Pair{}) {
						t.Error(p, err)
					}
					break
				}
				checkChoice(t, n, taken, p)
				taken = append(taken, p)
			}
			if len(taken) != want {
				t.Errorf("%d choices, want %d", len(taken), want)
			}
		})
	}
}

// If one subnet is left, every identity finds it.
func TestLastFreeSubnetIsFound(t *testing.T) {
	n := network(t, `{"Network":"10.5.0.0/24","SubnetLen":28}`)
	for left := 1; left < 16; left++ {
		var taken []Pair
		for i := 1; i < 16; i++ {
			if i != left {
				taken = append(taken, pair(fmt.Sprintf("10.5.0.%d/28", i*16)))
			}
		}
		rand.Shuffle(len(taken), func(i, j int) { taken[i], taken[j] = taken[j], taken[i] })
		for i := range 40 {
			p, err := Choose(n, taken, fmt.Sprint(i))
			if want := pair(fmt.Sprintf("10.5.0.%d/28", left*16)); err != nil || p != want {
				t.Fatalf("%s, %v; want %s", p, err, want)
			}
		}
	}
}

func TestTakenSubnetsOfOtherLengths(t *testing.T) {
	n := network(t, `{"Network":"10.5.0.0/22","SubnetLen":24}`) // 10.5.1.0, 10.5.2.0, 10.5.3.0
	for _, c := range []struct {
		taken []Pair
		want  string
	}{
		{[]Pair{pair("10.5.2.0/23")}, "10.5.1.0/24"},
		{[]Pair{pair("10.5.1.255/32"), pair("10.5.3.0/32")}, "10.5.2.0/24"},
		{[]Pair{pair("10.5.0.0/23"), pair("10.5.2.128/25")}, "10.5.3.0/24"},
		{[]Pair{pair("10.5.1.0/24"), pair("10.5.1.0/25"), pair("10.5.2.7/32")}, "10.5.3.0/24"},
		{[]Pair{pair("10.5.1.128/26"), pair("10.5.1.0/30"), pair("10.5.2.0/23"), pair("10.5.3.0/24")}, ""},
		{[]Pair{pair("10.5.0.0/16")}, ""},
		{[]Pair{pair("0.0.0.0/1")}, ""},
		{[]Pair{{IPv4: prefix("0.0.0.0/0")}}, ""},
		{[]Pair{pair("10.5.0.0/22")}, ""},
		{[]Pair{pair("10.5.3.9/23")}, "10.5.1.0/24"}, // host bits do not count
		{[]Pair{pair("10.4.0.0/16"), pair("10.5.4.0/22"), pair("fd00::/16"), pair("10.5.1.0/24"), pair("10.5.2.0/24")}, "10.5.3.0/24"},
	} {
		for i := range 20 {
			p, err := Choose(n, c.taken, fmt.Sprint(i))
			if c.want == "" {
				if !errors.Is(err, ErrFull) {
					t.Errorf("beside %v: %s, %v", c.taken, p, err)
				}
			} else if err != nil || p != pair(c.want) {
				t.Errorf("beside %v: %s, %v; want %s", c.taken, p, err, c.want)
			}
		}
	}
	_, err := Choose(n, []Pair{pair("10.5.0.0/16")}, "")
	wantError(t, err, "choose from 10.5.1.0 to 10.5.3.0: every pod subnet is taken")
}

func TestChoicesAtTheEndsOfTheAddressSpace(t *testing.T) {
	for _, config := range []string{
		`{"Network":"0.0.0.0/1","SubnetLen":3}`, `{"Network":"128.0.0.0/1","SubnetLen":30}`, `{"Network":"255.255.0.0/16"}`, `{"Network":"255.255.255.240/28"}`,
		`{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00::/32"}`,
		`{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"::/1","IPv6SubnetLen":126}`,
		`{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"8000::/1","IPv6SubnetLen":126}`,
		`{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"8000::/1","IPv6SubnetLen":3}`,
		`{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"f000::/4","IPv6SubnetLen":64}`,
	} {
		n := network(t, config)
		for i := range 50 {
			checkChoices(t, n, nil, fmt.Sprint(config, i))
			checkChoices(t, n, []Pair{{n.IPv4.Prefix, n.IPv6.Prefix}}, fmt.Sprint(i)) // full
		}
		// The upper half is taken. The search then wraps around.
		var taken Pair
		for _, f := range Families {
			if r := n.Range(f); r.On() {
				taken = taken.With(f, netip.PrefixFrom(last(r.Prefix), r.Prefix.Bits()+1).Masked())
			}
		}
		for i := range 50 {
			p, err := Choose(n, []Pair{taken}, fmt.Sprint(i))
			if err != nil {
				t.Fatal(config, err)
			}
			checkChoice(t, n, []Pair{taken}, p)
		}
	}
}

// randomTaken returns junk of every length in and around the network.
func randomTaken(r *rand.Rand, n Network, count int) []Pair {
	taken := make([]Pair, count)
	for i := range taken {
		for _, f := range Families {
			if p := n.Range(f).Prefix; p.IsValid() && r.IntN(8) > 0 {
				offset := number{r.Uint64(), r.Uint64()}
				length := 1 + r.IntN(f.Bits())
				if r.IntN(4) > 0 { // mostly small ones within the network
					length = p.Bits() + 2 + r.IntN(f.Bits()-p.Bits()-1)
				}
				size := blockSize(f, p.Bits())
				offset = number{offset.hi & (size.hi - min(1, size.hi)), offset.lo & (size.lo - 1)}
				taken[i] = taken[i].With(f, netip.PrefixFrom(numberOf(p.Addr()).add(offset).addr(f), length).Masked())
			}
		}
	}
	return taken
}

func TestChoiceFitsAndNeverOverlaps(t *testing.T) {
	networks := []Network{
		network(t, `{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:5::/57"}`),
		network(t, `{"Network":"10.5.0.0/22","EnableIPv6":true,"IPv6Network":"fd00:5::/61"}`),
		network(t, `{"Network":"10.5.0.0/24","SubnetMin":"10.5.0.128","SubnetMax":"10.5.0.192"}`),
		network(t, `{"Network":"128.0.0.0/1","SubnetLen":4,"EnableIPv6":true,"IPv6Network":"8000::/1","IPv6SubnetLen":4}`),
	}
	r := rand.New(rand.NewPCG(1, 2))
	full := 0
	for i := range 10_000 {
		n := networks[i%len(networks)]
		taken := randomTaken(r, n, r.IntN(12))
		p, err := Choose(n, taken, fmt.Sprint(i))
		if err == nil {
			checkChoice(t, n, taken, p)
			continue
		}
		full++
		if !reallyFull(n, taken) {
			t.Fatalf("Choose returned ErrFull, but the network is not full with %v", taken)
		}
	}
	if full == 0 || full == 10_000 {
		t.Errorf("full in %d cases of 10,000: the test needs both full and free networks", full)
	}
}

// reallyFull reports whether no subnet is free. It tries every subnet, so the network must be small.
func reallyFull(n Network, taken []Pair) bool {
	for _, f := range Families {
		r := n.Range(f)
		if !r.On() {
			continue
		}
		full := true
		for a := r.Min; full && !r.Max.Less(a); a = last(netip.PrefixFrom(a, r.SubnetLen)).Next() {
			half := Pair{}.With(f, netip.PrefixFrom(a, r.SubnetLen))
			hit := false
			for _, p := range taken {
				hit = hit || p.Overlaps(half)
			}
			full = hit
			if a == r.Max {
				break
			}
		}
		if full {
			return true
		}
	}
	return false
}

func FuzzChoose(f *testing.F) {
	f.Add(uint64(1), uint64(2), 5, uint8(16), uint8(24), uint8(48), uint8(64), "node")
	f.Add(uint64(3), uint64(4), 0, uint8(1), uint8(3), uint8(1), uint8(126), "")
	f.Add(uint64(5), uint64(6), 200, uint8(28), uint8(30), uint8(124), uint8(126), "x")
	f.Add(uint64(7), uint64(8), 50, uint8(22), uint8(0), uint8(61), uint8(0), "y")
	f.Fuzz(func(t *testing.T, seed1, seed2 uint64, count int, bits4, len4, bits6, len6 uint8, identity string) {
		r := rand.New(rand.NewPCG(seed1, seed2))
		var a [16]byte
		for i := range a {
			a[i] = byte(r.Uint32())
		}
		n, _, err := ParseNetwork(fmt.Appendf(nil, `{"Network":"%s/%d","SubnetLen":%d,"EnableIPv6":true,"IPv6Network":"%s/%d","IPv6SubnetLen":%d}`,
			netip.AddrFrom4([4]byte(a[:4])), bits4, len4, netip.AddrFrom16(a), bits6, len6))
		if err != nil {
			return
		}
		checkChoices(t, n, randomTaken(r, n, max(0, count%1000)), identity)
	})
}

func BenchmarkChooseBeside5000(b *testing.B) {
	n := network(b, `{"Network":"10.0.0.0/8","EnableIPv6":true,"IPv6Network":"fd00:5::/48"}`)
	var taken []Pair
	for i := range 5000 {
		p, err := Choose(n, nil, fmt.Sprint(i))
		if err != nil {
			b.Fatal(err)
		}
		taken = append(taken, p)
	}
	for b.Loop() {
		if _, err := Choose(n, taken, "node"); err != nil {
			b.Fatal(err)
		}
	}
}
