package etcd

import (
	"errors"
	"slices"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

func TestTakeAndRestartKeepsTheSubnet(t *testing.T) {
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	store := etcd.open(t)
	n := run(t, store, quick(1))
	first := n.held(t)
	if first.Own.Node != self(1).Node || first.Own.IPv4.PublicIP != self(1).PublicIP {
		t.Errorf("own lease %+v", first.Own)
	}
	if _, ok := first.Set.Find(first.Own.Pair()); !ok {
		t.Errorf("the set %v lacks the own lease", first.Set)
	}
	if d := time.Until(first.Expiry); d < 50*time.Minute || d > time.Hour {
		t.Errorf("expiry in %v", d)
	}
	before := etcd.keys(subnets)[first.Own.Pair().Key()]
	n.stop(t)
	if n.err != nil {
		t.Errorf("Run: %v", n.err)
	}
	again := run(t, store, quick(1)).held(t)
	after := etcd.keys(subnets)[first.Own.Pair().Key()]
	if again.Own != first.Own || len(etcd.keys(subnets)) != 1 {
		t.Errorf("after a restart %v, before %v", again.Own, first.Own)
	}
	if before.ttl != after.ttl {
		t.Errorf("a live etcd lease of the same length was not kept: %x, %x", before.ttl, after.ttl)
	}
}

func TestAnotherTTLIsGrantedAnew(t *testing.T) {
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	store := etcd.open(t)
	n := run(t, store, quick(1))
	key := n.held(t).Own.Pair().Key()
	before := etcd.keys(subnets)[key]
	n.stop(t)
	opts := quick(1)
	opts.TTL = 2 * time.Hour
	s := run(t, store, opts).held(t)
	if after := etcd.keys(subnets)[key]; after.ttl == before.ttl || time.Until(s.Expiry) < 90*time.Minute {
		t.Errorf("etcd lease %x before and %x after, expiry %v", before.ttl, after.ttl, s.Expiry)
	}
}

func TestPeerIsAddedChangedAndDeleted(t *testing.T) {
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	n := run(t, etcd.open(t), quick(1))
	n.held(t)
	peer := func(l subnet.Lease) func(State) bool {
		return func(s State) bool { r, _ := s.Set.Find(l.Pair()); return r.Lease == l }
	}
	network, _, err := subnet.ParseNetwork([]byte(ipv4Config))
	if err != nil {
		t.Fatal(err)
	}
	pair, err := subnet.Choose(network, nil, "peer")
	if err != nil {
		t.Fatal(err)
	}
	l := self(2).Lease(network, pair, subnet.Lease{})
	etcd.put(subnets+pair.Key(), string(l.Value()))
	n.wait(t, "peer", peer(l))
	moved := self(3).Lease(network, pair, subnet.Lease{})
	etcd.put(subnets+pair.Key(), string(moved.Value()))
	n.wait(t, "changed peer", peer(moved))
	etcd.delete(subnets + pair.Key())
	n.wait(t, "no peer", func(s State) bool { return len(s.Set.Records) == 1 })
}

// race starts nodes at once and checks that each gets pod subnets that overlap no other's.
func race(t *testing.T, config string, nodes int) {
	t.Helper()
	etcd := startEtcd(t)
	etcd.put("config", config)
	store := make([]*Store, nodes)
	for i := range store {
		store[i] = etcd.open(t)
	}
	var running []*node
	for i := range nodes {
		running = append(running, run(t, store[i], quick(i)))
	}
	distinct(t, running)
	if n := len(etcd.keys(subnets)); n != nodes {
		t.Errorf("%d keys for %d nodes", n, nodes)
	}
}

func distinct(t *testing.T, running []*node) {
	t.Helper()
	var pairs []subnet.Pair
	for _, n := range running {
		p := n.held(t).Own.Pair()
		if slices.ContainsFunc(pairs, p.Overlaps) {
			t.Errorf("%s: %s was handed out before", n.name, p)
		}
		pairs = append(pairs, p)
	}
}

func TestTwoNodesRaceForTheLastSubnets(t *testing.T) {
	// Min to Max holds exactly two pod subnets.
	race(t, `{"Network":"10.5.0.0/16","SubnetMin":"10.5.4.0","SubnetMax":"10.5.5.0"}`, 2)
}

func TestFiftyNodesRace(t *testing.T) {
	race(t, `{"Network":"10.5.0.0/16","SubnetMin":"10.5.4.0","SubnetMax":"10.5.67.0"}`, 50)
}

func TestThirtyDualStackNodesRace(t *testing.T) {
	race(t, `{"Network":"10.5.0.0/16","SubnetMin":"10.5.4.0","SubnetMax":"10.5.35.0",
		"EnableIPv6":true,"IPv6Network":"fd00:5::/48","IPv6SubnetMin":"fd00:5:0:4::","IPv6SubnetMax":"fd00:5:0:23::"}`, 30)
}

func TestDualStackAndIPv4NodesRace(t *testing.T) {
	const nodes = 30
	etcd := startEtcd(t)
	// Two configurations at once, as while one is being changed: the halves overlap, the keys never are the same.
	etcd.put("config", `{"Network":"10.5.0.0/16","SubnetMin":"10.5.4.0","SubnetMax":"10.5.44.0"}`)
	dual := `{"Network":"10.5.0.0/16","SubnetMin":"10.5.4.0","SubnetMax":"10.5.44.0","EnableIPv6":true,"IPv6Network":"fd00:5::/48"}`
	var running []*node
	var stores []*Store
	for range nodes {
		stores = append(stores, etcd.open(t))
	}
	for i := range nodes {
		if i == nodes/2 {
			etcd.put("config", dual)
		}
		running = append(running, run(t, stores[i], quick(i)))
	}
	distinct(t, running)
}

func TestOverlapOfAForeignKeyIsGivenBack(t *testing.T) {
	etcd := startEtcd(t)
	etcd.put("config", dualConfig)
	network, _, err := subnet.ParseNetwork([]byte(dualConfig))
	if err != nil {
		t.Fatal(err)
	}
	// What the node will choose, taken in its IPv4 half by a node whose key it has not seen when it chooses.
	first, err := subnet.Decide(network, self(1), subnet.Set{}, subnet.Claim{})
	if err != nil {
		t.Fatal(err)
	}
	other := subnet.Pair{IPv4: first.Pair.IPv4}
	store := etcd.open(t)
	var once bool
	intercept(store, func(txn *etcdserverpb.TxnRequest, commit func() error) error {
		if !once && len(txn.Compare) > 0 {
			once = true
			etcd.put(subnets+other.Key(), string(self(2).Lease(network, other, subnet.Lease{}).Value()))
		}
		return commit()
	})
	n := run(t, store, quick(1))
	own := n.held(t).Own
	if own.Pair().Overlaps(other) {
		t.Errorf("%s overlaps the older %s", own.Pair(), other)
	}
	if keys := etcd.keys(subnets); len(keys) != 2 {
		t.Errorf("keys %v: the overlapping one was not given back", keys)
	}
}

func TestNetworkIsFull(t *testing.T) {
	etcd := startEtcd(t)
	etcd.put("config", `{"Network":"10.5.0.0/16","SubnetMin":"10.5.4.0","SubnetMax":"10.5.4.0"}`)
	run(t, etcd.open(t), quick(1)).held(t)
	run(t, etcd.open(t), quick(2)).fails(t, subnet.ErrFull)
}

func TestReservationIsKeptWithoutExpiry(t *testing.T) {
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	// As an operator writes one for a flannel or podlane node: the address alone, no etcd lease.
	etcd.put(subnets+"10.5.77.0-24", `{"PublicIP":"192.168.0.2","BackendType":"vxlan","BackendData":{"VtepMAC":"02:00:00:00:00:77"}}`)
	s := run(t, etcd.open(t), quick(1)).held(t)
	if s.Own.Pair().Key() != "10.5.77.0-24" || !s.Expiry.IsZero() || s.Own.IPv4.MAC.String() != "02:00:00:00:00:77" {
		t.Errorf("own %+v, expiry %v", s.Own, s.Expiry)
	}
	if r := etcd.keys(subnets)["10.5.77.0-24"]; r.ttl != 0 {
		t.Errorf("the reservation now hangs on etcd lease %x", r.ttl)
	}
}

func TestPreviousSubnetIsTaken(t *testing.T) {
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	opts := quick(1)
	p, err := subnet.ParseKey("10.5.99.0-24")
	if err != nil {
		t.Fatal(err)
	}
	opts.Self.Previous = p
	if s := run(t, etcd.open(t), opts).held(t); s.Own.Pair() != p {
		t.Errorf("own %v, before %v", s.Own, p)
	}
}

// Where a lease would be of no use none is taken, whether or not there is a saved state.
func TestUselessLeaseIsNotTaken(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	refuse := errors.New("the underlay's MTU is too small")
	for _, saved := range []*store.Saved{nil, {Config: []byte(ipv4Config)}} {
		opts := quick(1)
		opts.Saved = saved
		opts.Check = func(n subnet.Network) error {
			if n.IPv4.Prefix.String() != "10.5.0.0/16" {
				t.Errorf("asked about %v", n.IPv4)
			}
			return refuse
		}
		if err := etcd.open(t).Run(t.Context(), opts, func(State) {}); !errors.Is(err, refuse) || err.Error() != refuse.Error() {
			t.Errorf("%v, want %v", err, refuse)
		}
	}
	if keys := etcd.keys(subnets); len(keys) != 0 {
		t.Errorf("taken: %v", keys)
	}
}
