package etcd

import (
	"testing"
	"time"
)

// joiners is how many nodes join at the same time.
const joiners = 100

// join starts the nodes at once and checks that each gets pod subnets that overlap no other's. It logs the cost.
func join(t *testing.T, etcd *server, open func() *Store, meanwhile func()) {
	t.Helper()
	var stores []*Store
	for range joiners {
		stores = append(stores, open())
	}
	before := etcd.revision()
	start := time.Now()
	var running []*node
	for i, s := range stores {
		opts := quick(i)
		opts.CheckEvery = 30 * time.Second
		running = append(running, run(t, s, opts))
	}
	meanwhile()
	distinct(t, running)
	took := time.Since(start)
	t.Logf("%d nodes joined in %v with %.2f writes each", joiners, took.Round(time.Millisecond), float64(etcd.revision()-before)/joiners)
	for _, n := range running { // each still has its lease
		n.wait(t, "all peers", func(s State) bool { return held(s) && len(s.Set.Records) == joiners })
	}
	distinct(t, running)
	if n := len(etcd.keys(subnets)); n != joiners {
		t.Errorf("%d keys for %d nodes", n, joiners)
	}
}

// revision returns the store's revision.
func (s *server) revision() int64 {
	s.t.Helper()
	resp, err := s.client().Get(s.t.Context(), "x")
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.Header.Revision
}

var crowds = map[string]string{
	"IPv4":           ipv4Config,
	"dual-stack":     dualConfig,
	"IPv4 crowded":   `{"Network":"10.5.0.0/17"}`, // 127 pod subnets
	"dual crowded":   `{"Network":"10.5.0.0/17","EnableIPv6":true,"IPv6Network":"fd00:5::/57"}`,
	"IPv6 only":      `{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00:5::/57"}`,
	"no room to err": `{"Network":"10.5.0.0/16","SubnetMin":"10.5.1.0","SubnetMax":"10.5.100.0"}`,
}

func TestHundredJoiners(t *testing.T) {
	for name, config := range crowds {
		t.Run(name, func(t *testing.T) {
			etcd := startEtcd(t)
			etcd.put("config", config)
			join(t, etcd, func() *Store { return etcd.open(t) }, func() {})
		})
	}
}

func TestHundredJoinersWhileTheLeaderIsKilled(t *testing.T) {
	etcd := startCluster(t, 3)
	etcd[0].put("config", crowds["dual crowded"])
	leader := etcd.leader()
	other := etcd[0]
	if other == leader {
		other = etcd[1]
	}
	join(t, other, func() *Store { return etcd.open(t) }, func() {
		eventually(t, "the first leases", func() bool { return len(other.keys(subnets)) > 5 })
		leader.stop()
		t.Logf("the leader is killed when %d have a lease", len(other.keys(subnets)))
	})
}
