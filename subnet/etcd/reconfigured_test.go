package etcd

import (
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/podlane/podlane/subnet"
)

// The configuration is changed while a node is away, and its lease does not fit any more. It takes a fresh one with one
// write. The old one stays as it is until its etcd lease runs out, which nobody renews.
func TestConfigurationChangesWhileAway(t *testing.T) {
	for name, config := range map[string]string{
		"SubnetLen":  `{"Network":"10.5.0.0/16","SubnetLen":25}`,
		"Network":    `{"Network":"10.6.0.0/16"}`,
		"dual-stack": dualConfig,
		"IPv6 only":  `{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00:5::/48"}`,
	} {
		for pods, inUse := range map[string]bool{"pods": true, "no pods": false} {
			t.Run(name+" with "+pods, func(t *testing.T) {
				t.Parallel()
				etcd, n, before := holder(t, quick(1))
				n.stop(t)
				etcd.put("config", config)
				old := etcd.keys(subnets)[before.Own.Pair().Key()]
				s := fewWrites(t, etcd, 1, restarted(before, inUse))
				if s.Own.Pair().Overlaps(before.Own.Pair()) || !s.Network.Fits(s.Own.Pair()) || len(s.Warnings) != 1 {
					t.Errorf("own %v, before %v, warnings %q", s.Own, before.Own, s.Warnings)
				}
				keys := etcd.keys(subnets)
				if now := keys[before.Own.Pair().Key()]; len(keys) != 2 || now != old || keys[s.Own.Pair().Key()].ttl == old.ttl {
					t.Errorf("%v, the old lease before: %v", keys, old)
				}
				if again := fewWrites(t, etcd, 1, restarted(s, inUse)); again.Own != s.Own {
					t.Errorf("after one more start %v, before %v", again.Own, s.Own)
				}
			})
		}
	}
}

// restarted is a node with what it knew.
func restarted(s State, inUse bool) Options {
	opts, saved := quick(1), s.Save()
	opts.Saved, opts.Self.Previous, opts.Self.InUse = &saved, s.Own.Pair(), inUse
	return opts
}

// fewWrites runs a node until it holds a lease, and longer, and checks what it has written meanwhile.
func fewWrites(t *testing.T, etcd *server, most int64, opts Options) State {
	t.Helper()
	before := etcd.revision()
	n := run(t, etcd.open(t), opts)
	s := n.held(t)
	n.wait(t, "a check", func(later State) bool { return held(later) && later.Seen.After(s.Seen.Add(opts.CheckEvery)) })
	s = n.held(t)
	n.stop(t)
	if writes := etcd.revision() - before; writes > most {
		t.Errorf("%d writes, want at most %d", writes, most)
	}
	return s
}

// flannel ran here before, in a network that has been changed since.
func TestLeaseOfFlannelDoesNotFit(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	for _, key := range []string{"10.9.77.0-24", "10.5.64.0-20"} {
		etcd.put(subnets+key, `{"PublicIP":"192.168.0.2","BackendType":"vxlan","BackendData":{"VtepMAC":"02:00:00:00:00:77"}}`)
	}
	s := fewWrites(t, etcd, 1, quick(1))
	if len(s.Set.Records) != 3 || len(s.Warnings) != 1 {
		t.Errorf("own %v, set %v, warnings %q", s.Own, s.Set.Records, s.Warnings)
	}
}

// The node was given another name too, so that nobody can be sure whose the old lease is. It is asked, and silent.
func TestLeaseThatDoesNotFitIsOfAnotherName(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	renamed := self(1)
	renamed.Node.Name = "before"
	leaseOf(etcd, renamed, "10.9.60.0-24")
	s := fewWrites(t, etcd, 3, quick(1)) // the claim, its end, the lease
	if len(s.Set.Records) != 2 {
		t.Errorf("own %v, set %v", s.Own, s.Set.Records)
	}
}

// The answer to the creation of a key is lost, and the configuration changes before the node has looked. The key is ours
// and of no use. It must not be renewed with the one that is taken instead.
func TestConfigurationChangesWhileJoining(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	store, opts := etcd.open(t), quick(1)
	opts.TTL = 2 * time.Second
	var once bool
	intercept(store, func(txn *etcdserverpb.TxnRequest, commit func() error) error {
		err := commit()
		if err == nil && !once && len(txn.Compare) > 0 {
			once = true
			etcd.put("config", `{"Network":"10.6.0.0/16"}`)
			return status.Error(codes.Unavailable, "the connection broke")
		}
		return err
	})
	s := run(t, store, opts).held(t)
	if !s.Network.Fits(s.Own.Pair()) || len(s.Set.Records) != 2 {
		t.Fatalf("own %v of %v", s.Own, s.Set.Records)
	}
	eventually(t, "the first key expires", func() bool { return len(etcd.keys(subnets)) == 1 })
}

// A node that always finds half of its key taken does not keep etcd busy.
func TestTriesArePaced(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", dualConfig)
	store := etcd.open(t)
	network, _, err := subnet.ParseNetwork([]byte(dualConfig))
	if err != nil {
		t.Fatal(err)
	}
	client, tries := etcd.client(), make(chan time.Time, 1000)
	intercept(store, func(txn *etcdserverpb.TxnRequest, commit func() error) error {
		if put := txn.Success[0].GetRequestPut(); len(txn.Compare) > 0 && put != nil {
			tries <- time.Now()
			pair, err := subnet.ParseKey(strings.TrimPrefix(string(put.Key), DefaultPrefix+"/"+subnets))
			if err != nil {
				t.Error(err)
			}
			half := self(2).Lease(network, subnet.Pair{IPv4: pair.IPv4}, subnet.Lease{})
			if _, err := client.Do(t.Context(), clientv3.OpPut(DefaultPrefix+"/"+subnets+half.Pair().Key(), string(half.Value()))); err != nil {
				return err
			}
		}
		return commit()
	})
	n := run(t, store, quick(1))
	start := time.Now()
	var last time.Time
	for i := range freeTries + 5 {
		select {
		case at := <-tries:
			if gap := at.Sub(last); i > freeTries && gap < rewriteGap {
				t.Errorf("try %d comes %v after the one before", i, gap)
			}
			last = at
			if i == freeTries-1 && time.Since(start) > 5*time.Second {
				t.Errorf("the first %d tries took %v", freeTries, time.Since(start))
			}
		case <-time.After(patience):
			t.Fatalf("no try %d", i)
		}
	}
	n.stop(t)
}
