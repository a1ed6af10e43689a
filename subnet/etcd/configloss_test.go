package etcd

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const newConfig = `{"Network":"10.5.0.0/16","SubnetMax":"10.5.200.0"}`

// The configuration alone is deleted while nodes run. Its last version is restored soon, and a new node joins.
func TestDeletedConfigurationIsRestored(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	running := peers(t, etcd, 3, nil)
	etcd.put("config", newConfig)
	began := time.Now()
	etcd.delete("config")
	newcomer := run(t, etcd.open(t), quick(4))
	eventually(t, "the configuration is restored", func() bool { return etcd.keys("config")[""].value == newConfig })
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
	newcomer.held(t)
	for _, n := range running {
		s := n.wait(t, "all peers and no warning", func(s State) bool { return held(s) && len(s.Set.Records) == 4 && len(s.Warnings) == 0 })
		if string(s.Config) != newConfig || s.Losses != 0 {
			t.Errorf("%s: configuration %s, %d losses", n.name, s.Config, s.Losses)
		}
	}
}

// A node that may write leases but not the configuration reports that it cannot restore it. Everything else works.
func TestNodeMayNotRestoreTheConfiguration(t *testing.T) {
	t.Parallel()
	etcd, cfg := startWithUser(t)
	root := rootOf(t, etcd)
	n := run(t, openStore(t, cfg), quick(1))
	own := n.held(t).Own
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	do := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	all, leases := DefaultPrefix+"/", DefaultPrefix+"/"+subnets
	do(root.RoleGrantPermission(ctx, "node", all, clientv3.GetPrefixRangeEnd(all), clientv3.PermissionType(clientv3.PermRead)))
	do(root.RoleGrantPermission(ctx, "node", leases, clientv3.GetPrefixRangeEnd(leases), clientv3.PermissionType(clientv3.PermReadWrite)))
	do(root.Delete(ctx, DefaultPrefix+"/config"))
	s := n.wait(t, "refusal", func(s State) bool { return errors.Is(s.Err, ErrPermission) })
	if want := "the network configuration is missing from etcd and this node cannot restore it: "; !strings.Contains(s.Err.Error(), want) {
		t.Errorf("err %q, want %q in it", s.Err, want)
	}
	if len(s.Warnings) != 0 {
		t.Errorf("warnings %q, want none", s.Warnings)
	}
	if !s.Held {
		t.Error("the lease is not held")
	}
	do(root.Delete(ctx, leases+own.Pair().Key()))
	n.wait(t, "lease restored, and the refusal", func(s State) bool { return s.Held && s.Losses == 1 && errors.Is(s.Err, ErrPermission) })
	do(root.Put(ctx, DefaultPrefix+"/config", ipv4Config))
	n.held(t)
}
