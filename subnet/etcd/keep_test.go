package etcd

import (
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/machine"
)

// holder is an etcd with one node that holds a lease.
func holder(t *testing.T, opts Options) (*server, *node, State) {
	t.Helper()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	n := run(t, etcd.open(t), opts)
	return etcd, n, n.held(t)
}

func TestOwnKeyDeletedIsPutBack(t *testing.T) {
	etcd, n, s := holder(t, quick(1))
	key := s.Own.Pair().Key()
	for range 3 {
		etcd.delete(subnets + key)
		eventually(t, "key put back", func() bool { return etcd.keys(subnets)[key].value == string(s.Own.Value()) })
	}
	if again := n.held(t); again.Own != s.Own {
		t.Errorf("own %v, before %v", again.Own, s.Own)
	}
}

func TestOwnKeyGarbledIsPutRight(t *testing.T) {
	etcd, n, s := holder(t, quick(1))
	key := s.Own.Pair().Key()
	etcd.put(subnets+key, "garbage")
	eventually(t, "key put right", func() bool { return etcd.keys(subnets)[key].value == string(s.Own.Value()) })
	n.held(t)
}

func TestOwnKeyTakenByAnotherNodeIsAConflict(t *testing.T) {
	etcd, n, s := holder(t, quick(1))
	network := s.Network
	key := s.Own.Pair().Key()
	etcd.put(subnets+key, string(self(2).Lease(network, s.Own.Pair(), subnet.Lease{}).Value()))
	c := n.wait(t, "conflict", func(s State) bool { return s.Conflict != "" })
	for _, word := range []string{s.Own.Pair().String(), "n2", self(2).PublicIP.String()} {
		if !strings.Contains(c.Conflict, word) {
			t.Errorf("conflict %q does not name %s", c.Conflict, word)
		}
	}
	if c.Held || c.Own != s.Own {
		t.Errorf("held %v, own %v: want the pods to stay on %v", c.Held, c.Own, s.Own)
	}
	etcd.delete(subnets + key)
	if again := n.held(t); again.Own != s.Own || again.Expiry.IsZero() {
		t.Errorf("own %v until %v, before %v", again.Own, again.Expiry, s.Own)
	}
}

func TestOperatorMakesAReservation(t *testing.T) {
	etcd, n, s := holder(t, quick(1))
	key := s.Own.Pair().Key()
	etcd.put(subnets+key, string(s.Own.Value())) // without an etcd lease
	n.wait(t, "reservation", func(s State) bool { return held(s) && s.Expiry.IsZero() })
	etcd.delete(subnets + key)
	eventually(t, "reservation put back", func() bool { r, ok := etcd.keys(subnets)[key]; return ok && r.ttl == 0 })
}

func TestOwnKeyDeletedAndHalfOfItTaken(t *testing.T) {
	etcd := startEtcd(t)
	etcd.put("config", dualConfig)
	n := run(t, etcd.open(t), quick(1))
	s := n.held(t)
	other := subnet.Pair{IPv4: s.Own.IPv4.Subnet}
	// In one transaction, so that the node cannot be faster.
	_, err := etcd.client().Txn(t.Context()).Then(
		clientv3.OpDelete(DefaultPrefix+"/"+subnets+s.Own.Pair().Key()),
		clientv3.OpPut(DefaultPrefix+"/"+subnets+other.Key(), string(self(2).Lease(s.Network, other, subnet.Lease{}).Value())),
	).Commit()
	if err != nil {
		t.Fatal(err)
	}
	n.wait(t, "conflict", func(s State) bool { return strings.Contains(s.Conflict, "n2") && !s.Held })
	etcd.delete(subnets + other.Key())
	if again := n.held(t); again.Own != s.Own {
		t.Errorf("own %v, before %v", again.Own, s.Own)
	}
}

func TestYoungerOverlapIsNoConflict(t *testing.T) {
	etcd := startEtcd(t)
	etcd.put("config", dualConfig)
	n := run(t, etcd.open(t), quick(1))
	s := n.held(t)
	other := subnet.Pair{IPv4: s.Own.IPv4.Subnet}
	etcd.put(subnets+other.Key(), string(self(2).Lease(s.Network, other, subnet.Lease{}).Value()))
	n.wait(t, "both leases", func(s State) bool { return len(s.Set.Records) == 2 && held(s) })
}

func TestExpiredLeaseIsPutBack(t *testing.T) {
	opts := quick(1)
	etcd, n, s := holder(t, opts)
	key := s.Own.Pair().Key()
	before := etcd.keys(subnets)[key]
	if _, err := etcd.client().Revoke(t.Context(), clientv3.LeaseID(before.ttl)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "key under another etcd lease", func() bool {
		r, ok := etcd.keys(subnets)[key]
		return ok && r.ttl != 0 && r.ttl != before.ttl
	})
	n.wait(t, "expiry", func(s State) bool { return held(s) && time.Until(s.Expiry) > 50*time.Minute })
}

func TestShortLeaseIsRenewed(t *testing.T) {
	t.Parallel()
	opts := quick(1)
	opts.TTL = 2 * time.Second
	etcd, n, s := holder(t, opts)
	before := etcd.keys(subnets)[s.Own.Pair().Key()]
	n.wait(t, "third renewal", func(now State) bool { return now.Expiry.Sub(s.Expiry) > 4*time.Second })
	if after := etcd.keys(subnets)[s.Own.Pair().Key()]; after.modified != before.modified || after.ttl != before.ttl {
		t.Errorf("the key was written again: %+v, %+v", before, after)
	}
}

func TestUnderlayAddressChanges(t *testing.T) {
	opts := quick(1)
	changes := make(chan subnet.Self)
	opts.Changes = changes
	etcd, n, s := holder(t, opts)
	moved := self(1)
	moved.PublicIP = netip.MustParseAddr("192.168.77.7")
	changes <- moved
	after := n.wait(t, "new address", func(s State) bool { return held(s) && s.Own.IPv4.PublicIP == moved.PublicIP })
	if after.Own.Pair() != s.Own.Pair() || after.Own.IPv4.MAC != s.Own.IPv4.MAC {
		t.Errorf("own %+v, before %+v", after.Own, s.Own)
	}
	if r := etcd.keys(subnets)[s.Own.Pair().Key()]; !strings.Contains(r.value, "192.168.77.7") {
		t.Errorf("in etcd %s", r.value)
	}
}

func TestOutdatedLeaseIsRewrittenWithItsMAC(t *testing.T) {
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	etcd.put(subnets+"10.5.9.0-24", `{"PublicIP":"192.168.0.200","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:09","NodeID":"id-1","Node":"n1","Version":"v0"}}`)
	s := run(t, etcd.open(t), quick(1)).held(t)
	if s.Own.Pair().Key() != "10.5.9.0-24" || s.Own.IPv4.MAC.String() != "02:00:00:00:00:09" || s.Own.IPv4.PublicIP != self(1).PublicIP || s.Own.Node.Version != "v1" {
		t.Errorf("own %+v", s.Own)
	}
}

func TestAnswerToAWriteIsLost(t *testing.T) {
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	store := etcd.open(t)
	var lost atomic.Int32
	intercept(store, func(txn *etcdserverpb.TxnRequest, commit func() error) error {
		err := commit()
		if err == nil && len(txn.Compare) > 0 && lost.Add(1) == 1 {
			return status.Error(codes.Unavailable, "the connection broke")
		}
		return err
	})
	n := run(t, store, quick(1))
	n.held(t)
	if keys := etcd.keys(subnets); len(keys) != 1 {
		t.Errorf("keys %v, want one", keys)
	}
}

func TestConfigurationChangesWhileRunning(t *testing.T) {
	etcd, n, s := holder(t, quick(1))
	etcd.put("config", `{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan","MTU":1400,"Colour":"red"}}`)
	now := n.wait(t, "new configuration", func(s State) bool { return s.Network.VXLAN.MTU == 1400 && held(s) })
	if len(now.Warnings) != 1 || !strings.Contains(now.Warnings[0], "Colour") {
		t.Errorf("warnings %q", now.Warnings)
	}
	etcd.put("config", `{`)
	n.wait(t, "warning", func(s State) bool { return len(s.Warnings) == 2 && s.Network.VXLAN.MTU == 1400 })
	etcd.delete("config")
	eventually(t, "the last valid configuration is restored", func() bool { return etcd.keys("config")[""].value == string(now.Config) })
	n.wait(t, "one warning", func(s State) bool { return len(s.Warnings) == 1 && s.Network.VXLAN.MTU == 1400 && held(s) })
	etcd.put("config", `{"Network":"10.6.0.0/16"}`)
	n.wait(t, "warning", func(s State) bool {
		return len(s.Warnings) == 1 && strings.Contains(s.Warnings[0], "not in the changed") && s.Own.Pair() == now.Own.Pair()
	})
	if s.Own.Pair() != now.Own.Pair() {
		t.Errorf("own %v, before %v", now.Own, s.Own)
	}
}

func TestCompactionWhileAway(t *testing.T) {
	t.Parallel()
	etcd, n, s := holder(t, quick(1))
	dir := etcd.dir
	network := s.Network
	// The node's watch is cut off, and what it is to resume from is compacted, before it is back.
	n.stop(t)
	store := etcd.open(t)
	again := run(t, store, quick(1))
	leaseOf(etcd, self(3), "10.5.201.0-24")
	leaseOf(etcd, self(4), "10.5.202.0-24")
	again.wait(t, "peers", func(s State) bool { return held(s) && len(s.Set.Records) == 3 })
	own := etcd.keys(subnets)[s.Own.Pair().Key()]
	etcd.stop()
	again.wait(t, "error", func(s State) bool { return s.Err != nil })
	cut := freeURL(t, "http")
	public := etcd.url
	etcd.url = cut
	etcd.start(dir)
	pair := subnet.Pair{IPv4: netip.MustParsePrefix("10.5.200.0/24")}
	etcd.put(subnets+pair.Key(), string(self(2).Lease(network, pair, subnet.Lease{}).Value()))
	moved := leaseOf(etcd, self(5), "10.5.201.0-24") // another address
	etcd.delete(subnets + "10.5.202.0-24")
	for range 50 {
		etcd.put("other", "x")
	}
	resp, err := etcd.client().Get(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := etcd.client().Compact(t.Context(), resp.Header.Revision); err != nil {
		t.Fatal(err)
	}
	etcd.stop()
	etcd.url = public
	etcd.start(dir)
	back := time.Now()
	again.wait(t, "the set as it is in etcd", func(s State) bool {
		_, came := s.Set.Find(pair)
		r, _ := s.Set.Find(moved.Pair())
		return came && r.Lease == moved && len(s.Set.Records) == 3 && held(s)
	})
	t.Logf("equal to etcd %v after it was back", time.Since(back).Round(time.Millisecond))
	if now := etcd.keys(subnets)[s.Own.Pair().Key()]; now != own {
		t.Errorf("the own lease was touched: %+v, before %+v", now, own)
	}
}

func TestInvalidOwnAddressIsFatal(t *testing.T) {
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	opts := quick(1)
	opts.Self.PublicIP = netip.Addr{}
	run(t, etcd.open(t), opts).fails(t, machine.ErrInvalidLease)
}

// The device keeps its VNI until the daemon is started anew, and peers skip a lease that names another.
func TestConfigurationWithAnotherVNILeavesTheLease(t *testing.T) {
	etcd, n, s := holder(t, quick(1))
	etcd.put("config", `{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan","VNI":7}}`)
	n.wait(t, "changed configuration", func(s State) bool { return s.Network.VXLAN.VNI == 7 })
	touched := n.wait(t, "a check after it", func(later State) bool { return later.Seen.After(s.Seen.Add(time.Second)) })
	if got := etcd.keys(subnets)[s.Own.Pair().Key()].value; got != string(s.Own.Value()) || touched.Own != s.Own {
		t.Errorf("the lease was rewritten: %s", got)
	}
}

// The daemon was away, and another node has our key. Our pods may run: no other pod subnet will do.
func TestPodSubnetInUseThatIsTakenIsAConflict(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	thief := run(t, etcd.open(t), quick(2)).held(t)
	opts := quick(1)
	opts.Self.Previous, opts.Self.InUse = thief.Own.Pair(), true
	n := run(t, etcd.open(t), opts)
	c := n.wait(t, "conflict", func(s State) bool { return s.Conflict != "" })
	if c.Own.Pair() != thief.Own.Pair() || c.Held || !strings.Contains(c.Conflict, "n2") || len(etcd.keys(subnets)) != 1 {
		t.Errorf("%+v, keys %v", c, etcd.keys(subnets))
	}
	opts.Self.InUse = false
	opts.Self.Node.ID, opts.Self.Node.Name, opts.Self.PublicIP = "id-3", "n3", self(3).PublicIP
	if fresh := run(t, etcd.open(t), opts).held(t); fresh.Own.Pair() == thief.Own.Pair() {
		t.Errorf("without pods: %v", fresh.Own)
	}
}

// Our pods run on one pod subnet, and the lease in etcd that is ours beyond doubt is of another.
func TestPodSubnetInUseWinsOverAnotherLeaseOfOurs(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	first := run(t, etcd.open(t), quick(1))
	other := first.held(t).Own.Pair()
	first.cancel()
	<-first.ended
	opts := quick(1)
	opts.Self.Previous, opts.Self.InUse = subnet.Pair{IPv4: netip.MustParsePrefix("10.5.200.0/24")}, true
	if other == opts.Self.Previous {
		t.Fatal("no other pod subnet")
	}
	if s := run(t, etcd.open(t), opts).held(t); s.Own.Pair() != opts.Self.Previous {
		t.Errorf("%v, the pods run on %v", s.Own.Pair(), opts.Self.Previous)
	}
}

// A call over a connection from the old address would only time out, and the node's peers would wait for it.
func TestAddressChangesWhileEtcdIsAsked(t *testing.T) {
	opts := quick(1)
	opts.CheckEvery = 50 * time.Millisecond
	changes := make(chan subnet.Self)
	opts.Changes = changes
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	type call struct{ err error }
	calls := make(chan call, 1000)
	store := openStore(t, Config{Endpoints: []string{etcd.url}, Observe: func(_ string, _ time.Duration, err error) { calls <- call{err} }})
	n := run(t, store, opts)
	n.held(t)
	etcd.freeze()
	for waiting := false; !waiting; {
		select {
		case <-calls:
		case <-time.After(200 * time.Millisecond): // four checks should have ended meanwhile
			waiting = true
		}
	}
	moved := self(1)
	moved.PublicIP = netip.MustParseAddr("192.168.77.7")
	began := time.Now()
	changes <- moved
	if c := <-calls; c.err == nil || time.Since(began) > DefaultRequestTimeout/4 {
		t.Errorf("a call ended %v after the change with %v", time.Since(began), c.err)
	}
	etcd.thaw()
	n.wait(t, "new address", func(s State) bool { return held(s) && s.Own.IPv4.PublicIP == moved.PublicIP })
}
