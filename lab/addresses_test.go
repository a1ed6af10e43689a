package lab

import "testing"

func TestAddressesDoNotCollide(t *testing.T) {
	for _, p := range plans {
		used := map[string]string{p.router().String(): "router"}
		claim := func(who, addr string) {
			if other, taken := used[addr]; taken {
				t.Errorf("%s and %s both have %s", who, other, addr)
			}
			used[addr] = who
		}
		for i := 2; i <= 9; i++ {
			claim("etcd", p.member(i).String())
		}
		for i := 1; i <= 1000; i++ {
			if a := p.node(i); !p.underlay.Contains(a.Addr()) {
				t.Errorf("node %d has %s, outside %s", i, a, p.underlay)
			}
			claim("node", p.node(i).String())
		}
		claim("world", p.world().String())
		claim("gateway", p.gateway().String())
	}
	if got := plans[0].node(3).String(); got != "198.18.1.3/16" {
		t.Errorf("node 3 has %s", got)
	}
}
