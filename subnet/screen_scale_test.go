package subnet

import (
	"net/netip"
	"syscall"
	"testing"
	"time"
)

// honest returns the usual set: every node has its own /24 and /64.
func honest(count int) []Record {
	records := make([]Record, count)
	for i := range records {
		v6 := numberOf(addr("fd00:5::")).add(number{hi: uint64(i)}).addr(IPv6)
		records[i] = record(i, Pair{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24), netip.PrefixFrom(v6, 64)})
	}
	return records
}

// hostile returns single addresses in 80 newer pod subnets that contain each other. So every lease has as many parents as
// possible.
func hostile(count int) []Record {
	records := make([]Record, count)
	for i := range records {
		a, length := numberOf(addr("fd00:5::")).add(number{lo: uint64(i)}).addr(IPv6), 128
		if above := count - i; above <= 80 {
			length = 32 + above
		}
		records[i] = record(i, Pair{IPv6: netip.PrefixFrom(a, length).Masked()})
	}
	return records
}

var wide = `{"Network":"10.0.0.0/8","EnableIPv6":true,"IPv6Network":"fd00:5::/32"}`

func BenchmarkScreen5000(b *testing.B)         { benchmarkScreen(b, honest(5000)) }
func BenchmarkScreen20000(b *testing.B)        { benchmarkScreen(b, honest(20_000)) }
func BenchmarkScreen20000Hostile(b *testing.B) { benchmarkScreen(b, hostile(20_000)) }

func benchmarkScreen(b *testing.B, records []Record) {
	n := network(b, wide)
	b.ReportAllocs()
	for b.Loop() {
		Screen(n, nil, records[0].Lease, records)
	}
}

// cpuTime returns the CPU time of this process. Unlike the clock, it does not count other processes.
func cpuTime(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Four times as many leases must take about four times as long, not sixteen, honest or hostile. The test compares the
// fastest of several runs.
func TestScreenStaysLinear(t *testing.T) {
	n := network(t, wide)
	once := func(records []Record) time.Duration {
		start := cpuTime(t)
		Screen(n, nil, Lease{}, records)
		return cpuTime(t) - start
	}
	for name, make := range map[string]func(int) []Record{"honest": honest, "hostile": hostile} {
		few, many := make(5000), make(20_000)
		fewTime, manyTime := once(few), once(many)
		for round := 0; manyTime > 8*fewTime && round < 30; round++ {
			fewTime, manyTime = min(fewTime, once(few)), min(manyTime, once(many))
		}
		if manyTime > 8*fewTime {
			t.Errorf("%s: 20,000 leases take %s, 5,000 take %s", name, manyTime, fewTime)
		}
	}
	if peers, _ := Screen(n, nil, Lease{}, honest(20_000)); len(peers) != 20_000 {
		t.Errorf("%d of 20,000 honest peers", len(peers))
	}
	if peers, skipped := Screen(n, nil, Lease{}, hostile(20_000)); len(peers) != 19_920 || len(skipped) != 80 {
		t.Errorf("%d peers and %d skipped of 20,000", len(peers), len(skipped))
	}
}
