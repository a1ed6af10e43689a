package lab

import "testing"

func TestLostPackets(t *testing.T) {
	const (
		first  = "PING 10.5.1.2 (10.5.1.2) 56(84) bytes of data.\n64 bytes from 10.5.1.2: icmp_seq=1 ttl=64 time=0.032 ms\n"
		second = "64 bytes from 10.5.1.2: icmp_seq=2 ttl=64 time=114 ms\n"
		third  = "64 bytes from 10.5.1.2: icmp_seq=3 ttl=64 time=0.010 ms\n"
	)
	for name, c := range map[string]struct {
		out  string
		want int
	}{
		"all answered":                 {first + second, 0},
		"answered in another order":    {second + first, 0},
		"another one answered instead": {first + third, 1},
		"one answered twice":           {first + "64 bytes from 10.5.1.2: icmp_seq=1 ttl=64 time=0.040 ms (DUP!)\n", 1},
		"IPv6":                         {"64 bytes from fd00:5::2: icmp_seq=1 ttl=64 time=0.032 ms\n64 bytes from fd00:5::2: icmp_seq=2 ttl=64 time=0.032 ms\n", 0},
		"an error":                     {first + "From 10.5.1.1 icmp_seq=2 Destination Host Unreachable\n", 1},
		"no answer":                    {"", 2},
	} {
		if got := lost(c.out, 2); got != c.want {
			t.Errorf("%s: got %d lost, want %d", name, got, c.want)
		}
	}
}
