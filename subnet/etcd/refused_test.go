package etcd

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/podlane/podlane/subnet"
)

// refusal is a way in which etcd answers reads and refuses writes.
type refusal struct {
	err   error
	begin func(*testing.T, *server) (end func())
}

var waysToRefuse = map[string]refusal{
	"space alarm":        {ErrNoSpace, raise(etcdserverpb.AlarmType_NOSPACE)},
	"corrupt member":     {ErrCorrupt, raise(etcdserverpb.AlarmType_CORRUPT)},
	"role may read only": {ErrPermission, restrict},
}

// raise makes etcd raise an alarm; end disarms it.
func raise(alarm etcdserverpb.AlarmType) func(*testing.T, *server) func() {
	return func(t *testing.T, etcd *server) (end func()) {
		t.Helper()
		c := rootOf(t, etcd)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		status, err := c.Status(ctx, etcd.url)
		if err != nil {
			t.Fatal(err)
		}
		set := func(action etcdserverpb.AlarmRequest_AlarmAction) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			request := &etcdserverpb.AlarmRequest{Action: action, MemberID: status.Header.MemberId, Alarm: alarm}
			if _, err := etcdserverpb.NewMaintenanceClient(c.ActiveConnection()).Alarm(ctx, request); err != nil {
				t.Fatal(err)
			}
		}
		set(etcdserverpb.AlarmRequest_ACTIVATE)
		return func() { set(etcdserverpb.AlarmRequest_DEACTIVATE) }
	}
}

// restrict revokes the nodes' permission to write; end grants it again. It needs startWithUser.
func restrict(t *testing.T, etcd *server) (end func()) {
	t.Helper()
	root := rootOf(t, etcd)
	grant := func(kind clientv3.PermissionType) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if _, err := root.RoleGrantPermission(ctx, "node", DefaultPrefix+"/", clientv3.GetPrefixRangeEnd(DefaultPrefix+"/"), kind); err != nil {
			t.Fatal(err)
		}
	}
	grant(clientv3.PermissionType(clientv3.PermRead))
	return func() { grant(clientv3.PermissionType(clientv3.PermReadWrite)) }
}

func rootOf(t *testing.T, etcd *server) *clientv3.Client {
	t.Helper()
	root, err := clientv3.New(clientv3.Config{Endpoints: []string{etcd.url}, Username: "root", Password: "secret", Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root
}

// startWithUser starts an etcd in which nodes are the user "node", who may read and write below the prefix.
func startWithUser(t *testing.T) (*server, Config) {
	t.Helper()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	c, ctx := etcd.client(), t.Context()
	do := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"root", "node"} {
		do(c.RoleAdd(ctx, name))
		do(c.UserAdd(ctx, name, "secret"))
		do(c.UserGrantRole(ctx, name, name))
	}
	do(c.RoleGrantPermission(ctx, "node", DefaultPrefix+"/", clientv3.GetPrefixRangeEnd(DefaultPrefix+"/"), clientv3.PermissionType(clientv3.PermReadWrite)))
	do(c.AuthEnable(ctx))
	return etcd, Config{Endpoints: []string{etcd.url}, Username: "node", PasswordFile: passwordFile(t, "secret")}
}

// A node starts while etcd refuses writes. It uses its lease and the current list of its peers, and reports the refusal. It
// writes its lease as soon as it can. Its state may be lost, or the node may have another address.
func TestNodeStartsWhileEtcdRefusesWrites(t *testing.T) {
	moved := func(o *Options) { o.Self.PublicIP = netip.MustParseAddr("192.168.9.9") }
	rebooted := func(o *Options) { o.Self.InUse = false }
	for name, r := range waysToRefuse {
		variants := map[string]func(*Options){
			"with its state":    rebooted,
			"without its state": func(o *Options) { o.Saved, o.Self.Previous, o.Self.InUse = nil, subnet.Pair{}, false },
		}
		if r.err == ErrPermission { //nolint:errorlint // the value of the table
			variants["with its pods"] = func(*Options) {}
			variants["at another address"] = moved
			variants["at another address after a reboot"] = func(o *Options) { moved(o); rebooted(o) }
			variants["with another version"] = func(o *Options) { o.Self.Node.Version = "v2" }
		}
		for know, change := range variants {
			t.Run(name+", "+know, func(t *testing.T) {
				t.Parallel()
				etcd, cfg := startWithUser(t)
				first := run(t, openStore(t, cfg), quick(1))
				before := first.held(t)
				first.stop(t)
				peer := run(t, openStore(t, cfg), quick(2)).held(t)
				end := r.begin(t, etcd)
				opts := restarted(before, true)
				change(&opts)
				began := time.Now()
				n := run(t, openStore(t, cfg), opts)
				s := n.wait(t, "lease and refusal", func(s State) bool { return s.Own.Pair() == before.Own.Pair() && s.Err != nil })
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("it took %v", took)
				}
				if _, known := s.Set.Find(peer.Own.Pair()); !known || s.Set.Revision < peer.Set.Revision {
					t.Errorf("the set is not the fresh one: %v at %d", s.Set.Records, s.Set.Revision)
				}
				if !errors.Is(s.Err, r.err) {
					t.Errorf("err %v, want %v", s.Err, r.err)
				}
				if s.Conflict != "" {
					t.Errorf("conflict %q", s.Conflict)
				}
				if left := time.Until(s.Expiry); left < 50*time.Minute || left > time.Hour {
					t.Errorf("it expires in %v, want 50 minutes to an hour", left)
				}
				end()
				want := before.Own
				want.IPv4.PublicIP, want.Node = opts.Self.PublicIP, opts.Self.Node
				expectLease(t, want, n.held(t).Own)
			})
		}
	}
}

// The address of a running node changes while etcd refuses writes. The error lasts until the write has succeeded, though reads
// succeed. The etcd lease is renewed.
func TestAddressChangesWhileEtcdRefusesWrites(t *testing.T) {
	for name, r := range waysToRefuse {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			etcd, cfg := startWithUser(t)
			opts := quick(1)
			opts.TTL = 15 * time.Second
			selves := make(chan subnet.Self, 1)
			opts.Changes = selves
			n := run(t, openStore(t, cfg), opts)
			before := n.held(t)
			end := r.begin(t, etcd)
			moved := opts.Self
			moved.PublicIP = netip.MustParseAddr("192.168.9.9")
			selves <- moved
			n.wait(t, "refusal", func(s State) bool { return errors.Is(s.Err, r.err) })
			renewed := func(s State) bool { return s.Expiry.After(before.Expiry.Add(time.Second)) }
			for i := range 100 {
				s := n.next(t)
				if i > 3 && (renewed(s) || r.err == ErrPermission) { //nolint:errorlint // the value of the table
					break // etcd 3.7 renews a lease only for those who may write its keys
				}
				if !errors.Is(s.Err, r.err) || s.Own.IPv4.PublicIP != opts.Self.PublicIP {
					t.Fatalf("the write is owed: err %v, own %+v", s.Err, s.Own)
				}
			}
			end()
			after, want := n.held(t), before.Own
			want.IPv4.PublicIP = moved.PublicIP
			expectLease(t, want, after.Own)
			if after.Losses != 0 {
				t.Errorf("%d losses, want none", after.Losses)
			}
			n.wait(t, "a renewed etcd lease", renewed) // it may not have been due before
		})
	}
}

// etcd begins to refuse writes while a node has nothing to write. The renewal is refused. That is reported until it succeeds.
func TestRenewalIsRefused(t *testing.T) {
	t.Parallel()
	etcd, cfg := startWithUser(t)
	opts := quick(1)
	opts.TTL = 6 * time.Second
	n := run(t, openStore(t, cfg), opts)
	before := n.held(t)
	end := restrict(t, etcd)
	n.wait(t, "refusal", func(s State) bool { return s.Own == before.Own && errors.Is(s.Err, ErrPermission) })
	end()
	if after := n.held(t); after.Own != before.Own {
		t.Errorf("own %v, before %v", after.Own, before.Own)
	}
}

// restarted returns the options of a node with what it knew.
func restarted(s State, inUse bool) Options {
	opts, saved := quick(1), s.Save()
	opts.Saved, opts.Self.Previous, opts.Self.InUse = &saved, s.Own.Pair(), inUse
	return opts
}
